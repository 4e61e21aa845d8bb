import type { SendHandle } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import process from "node:process";

export interface SocketToOpen {
  readonly address: string;
  readonly port: number;
}

/** Sent with each socket. */
export interface OpenedSocket {
  readonly protocol: "tcp" | "udp";
}

/**
 * Opens sockets in the network namespace that this process was started in, and hands them to its parent: a socket stays
 * in the namespace of its birth, so one server process can answer in many. Ends once all are handed over.
 */
export async function openSockets(sockets: readonly SocketToOpen[]): Promise<void> {
  for (const { address, port } of sockets) {
    const server = createServer();
    server.listen({ host: address, port, backlog: 4096 });
    await once(server, "listening");
    await handOver({ protocol: "tcp" }, server);
    const datagrams = createSocket(address.includes(":") ? "udp6" : "udp4");
    datagrams.bind(port, address);
    await once(datagrams, "listening");
    await handOver({ protocol: "udp" }, datagrams);
  }
  process.exit(0);
}

function handOver(message: OpenedSocket, handle: SendHandle): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(message, handle, {}, (error) => (error === null ? resolve() : reject(error)));
  });
}
