import { Server } from "node:net";
import { availableParallelism } from "node:os";
import type { PodServer } from "../plan/lab-plan.ts";
import { answerConnections, answerDatagrams, type ServedCount } from "./answer-clients.ts";
import { forEachConcurrently } from "./for-each-concurrently.ts";
import { loadNamespaceEntrance } from "./namespace-entrance.ts";
import { openByProcess, openFromHere, type PodSocket } from "./pod-sockets.ts";

/**
 * Answers in the name of every pod, from this one process. A socket stays in the namespace of its birth, so it is opened
 * there, and can be used from here.
 *
 * @returns what each pod has served so far; changes as they serve
 */
export async function servePods(servers: readonly PodServer[]): Promise<ReadonlyMap<string, ServedCount>> {
  const entrance = await loadNamespaceEntrance();
  const open = (server: PodServer) => (entrance === undefined ? openByProcess(server) : openFromHere(entrance, server));
  const counts = new Map<string, ServedCount>();
  await forEachConcurrently(servers, entrance === undefined ? availableParallelism() : 1, async (server) => {
    const count = { tcp: 0, udp: 0, lastClient: "" };
    counts.set(server.name, count);
    for (const socket of await openFor(server, open)) {
      if (socket instanceof Server) answerConnections(socket, { name: server.name, count });
      else answerDatagrams(socket, { name: server.name, count });
    }
  });
  return counts;
}

async function openFor(
  server: PodServer,
  open: (server: PodServer) => Promise<readonly PodSocket[]>,
): Promise<readonly PodSocket[]> {
  try {
    return await open(server);
  } catch (error) {
    throw new Error(`Cannot listen in pod ${server.name}: ${error instanceof Error ? error.message : error}`);
  }
}
