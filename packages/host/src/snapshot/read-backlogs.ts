import type { Machine } from "../machine/machine.ts";
import type { PodListener, PodNamespace } from "../machine/pod-namespaces.ts";
import type { ListeningSocket } from "./host-snapshot.ts";
import { parseSockets } from "./parse-tables.ts";
import { readCommand } from "./read-part.ts";

/** So many namespaces are asked: connections wait in few, and each costs a program that is started there. */
const MOST_ASKED = 16;

/**
 * How many connections may wait at sockets of pods at which some do: /proc tells how many wait alone. Where `nsenter` or `ss` is missing, or
 * refuses, it stays unknown.
 *
 * @throws EnvironmentError INTERRUPTED, OUT_OF_DESCRIPTORS
 */
export async function readBacklogs(
  machine: Pick<Machine, "run">,
  { pods, signal }: { readonly pods: readonly PodNamespace[]; readonly signal: AbortSignal },
): Promise<readonly PodNamespace[]> {
  const asked = new Set(
    pods.filter(({ listeners }) => listeners.some(({ waiting }) => waiting > 0)).slice(0, MOST_ASKED),
  );
  return Promise.all(
    pods.map(async (pod): Promise<PodNamespace> => {
      if (!asked.has(pod)) return pod;
      const args = [`--net=/proc/${pod.pid}/ns/net`, "ss", "-H", "-l", "-n", "-t", "-u"];
      const reading = await readCommand(machine, { tool: "nsenter", args }, signal);
      if ("because" in reading) return pod;
      const sockets = parseSockets(reading.value);
      return { ...pod, listeners: pod.listeners.map((listener) => withBacklog(listener, sockets)) };
    }),
  );
}

function withBacklog(listener: PodListener, sockets: readonly ListeningSocket[]): PodListener {
  if (listener.protocol !== "tcp" || listener.waiting === 0) return listener;
  const same = sockets.filter(
    ({ port, address }) =>
      port === listener.port && (isAny(address) ? listener.address === undefined : address === listener.address),
  );
  // Several programs may share a port, each with a queue of its own.
  const socket = same.find(({ waiting }) => waiting === listener.waiting) ?? same[0];
  return socket === undefined ? listener : { ...listener, waiting: socket.waiting, backlog: socket.backlog };
}

function isAny(address: string | undefined): boolean {
  return address === undefined || address === "0.0.0.0" || address === "::";
}
