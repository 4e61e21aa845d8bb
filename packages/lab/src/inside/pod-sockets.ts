import { spawn } from "node:child_process";
import { createSocket, Socket as DatagramSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, Server } from "node:net";
import process from "node:process";
import type { PodServer } from "../plan/lab-plan.ts";
import type { NamespaceEntrance } from "./namespace-entrance.ts";
import { OPEN_SOCKETS } from "./open-sockets.ts";

export type PodSocket = Server | DatagramSocket;

/** Opens a pod's sockets from this process. One pod at a time: the whole thread is in the pod's namespace meanwhile. */
export async function openFromHere(
  entrance: NamespaceEntrance,
  { namespace, sockets }: PodServer,
): Promise<readonly PodSocket[]> {
  const opened: PodSocket[] = [];
  entrance.enter(`/run/netns/${namespace}`);
  try {
    for (const { address, port } of sockets) {
      const server = createServer().listen({ host: address, port, backlog: 4096 });
      const datagrams = createSocket(address.includes(":") ? "udp6" : "udp4").bind(port, address);
      await Promise.all([once(server, "listening"), once(datagrams, "listening")]);
      opened.push(server, datagrams);
    }
  } finally {
    entrance.leave();
  }
  return opened;
}

/** Has them opened by a process that was started in the pod's namespace: it takes a start of Node for each pod. */
export async function openByProcess({ namespace, sockets }: PodServer): Promise<readonly PodSocket[]> {
  const opener = spawn(
    "nsenter",
    [`--net=/run/netns/${namespace}`, process.execPath, "-e", OPEN_SOCKETS, JSON.stringify(sockets)],
    { stdio: ["ignore", "ignore", "pipe", "ipc"] },
  );
  const opened: PodSocket[] = [];
  let complaint = "";
  opener.stderr?.on("data", (text) => {
    complaint += text;
  });
  opener.on("message", (_, handle: unknown) => {
    if (handle instanceof Server || handle instanceof DatagramSocket) opened.push(handle);
  });
  await once(opener, "close");
  if (opened.length !== 2 * sockets.length) throw new Error(complaint.trim());
  return opened;
}
