import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import type { Place } from "../plan/lab-plan.ts";
import { INSIDE_FOLDER } from "./lab-message.ts";

/**
 * A host has its own name, its own /run (locks, sockets and state files of what runs there) and its own view of /sys.
 * The tmpfs is made aside and moved, because the lab's folder below the old /run has to come along.
 */
const HOLD = `
set -e
hostname "$1" 2>/dev/null || : # a name is a nicety
aside=${INSIDE_FOLDER}/hosts/$2
mkdir -p "$aside"
mount -n -t tmpfs -o mode=0755 tmpfs "$aside"
mkdir "$aside${INSIDE_FOLDER.slice("/run".length)}"
mount -n --bind ${INSIDE_FOLDER} "$aside${INSIDE_FOLDER.slice("/run".length)}"
mount -n --move "$aside" /run
mount -n -t sysfs sysfs /sys 2>/dev/null || :
echo ready
exec cat
`;

/**
 * Starts a process for each host that keeps its mount and host-name namespaces; it lives as long as this process.
 *
 * @returns pids by the host's network namespace
 */
export async function holdHosts(places: readonly Place[]): Promise<Readonly<Record<string, number>>> {
  const held = await Promise.all(
    places
      .filter(({ kind }) => kind === "host")
      .map(async ({ name, namespace }) => [namespace, await hold(name, namespace)] as const),
  );
  return Object.fromEntries(held);
}

async function hold(name: string, namespace: string): Promise<number> {
  const hostname = name.slice(0, 64);
  const holder = spawn(
    "nsenter",
    [`--net=/run/netns/${namespace}`, "unshare", "--mount", "--uts", "sh", "-c", HOLD, "sh", hostname, namespace],
    { stdio: ["pipe", "pipe", "pipe"] },
  );
  const failed = once(holder, "close").then(async () => {
    throw new Error(`Cannot make host ${name}: ${(await complaint).trim()}`);
  });
  const complaint = text(holder.stderr);
  await Promise.race([once(holder.stdout, "data"), failed]);
  failed.catch(() => {}); // from here on its end is the lab's end
  if (holder.pid === undefined) throw new Error(`Cannot make host ${name}: no process`);
  return holder.pid;
}
