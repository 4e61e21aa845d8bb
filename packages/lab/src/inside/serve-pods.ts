import { spawn } from "node:child_process";
import { Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { Server } from "node:net";
import { availableParallelism } from "node:os";
import process from "node:process";
import type { PodServer } from "../plan/lab-plan.ts";
import { answerConnections, answerDatagrams, type ServedCount } from "./answer-clients.ts";
import { forEachConcurrently } from "./for-each-concurrently.ts";
import { OPEN_SOCKETS, type SocketToOpen } from "./open-sockets.ts";

/**
 * Answers in the name of every pod, from this one process.
 *
 * @returns what each pod has served so far; changes as they serve
 */
export async function servePods(servers: readonly PodServer[]): Promise<ReadonlyMap<string, ServedCount>> {
  const counts = new Map<string, ServedCount>();
  await forEachConcurrently(servers, availableParallelism(), async (server) => {
    const count = { tcp: 0, udp: 0, lastClient: "" };
    counts.set(server.name, count);
    await serve(server, count);
  });
  return counts;
}

async function serve({ name, namespace, sockets }: PodServer, count: ServedCount): Promise<void> {
  const wanted: readonly SocketToOpen[] = sockets;
  const opener = spawn(
    "nsenter",
    [`--net=/run/netns/${namespace}`, process.execPath, "-e", OPEN_SOCKETS, JSON.stringify(wanted)],
    { stdio: ["ignore", "ignore", "pipe", "ipc"] },
  );
  let complaint = "";
  opener.stderr?.on("data", (text) => {
    complaint += text;
  });
  let received = 0;
  opener.on("message", (_, handle: unknown) => {
    received++;
    if (handle instanceof Server) answerConnections(handle, { name, count });
    else if (handle instanceof DatagramSocket) answerDatagrams(handle, { name, count });
  });
  await once(opener, "close");
  if (received !== 2 * sockets.length) throw new Error(`Cannot listen in pod ${name}: ${complaint.trim()}`);
}
