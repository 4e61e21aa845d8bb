import type { Socket as DatagramSocket } from "node:dgram";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Server, Socket } from "node:net";

/** How often a pod was asked, and by whom last. */
export interface ServedCount {
  tcp: number;
  udp: number;
  lastClient: string;
}

/** First bytes of a request that HTTP answers; everything else is echoed. */
const HTTP_REQUEST = /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH) /;

/**
 * Answers every client with the pod's name and the client as the pod sees it, `os1_my1 10.5.75.1:40312` and a line feed:
 * as the body of an HTTP response, else before an echo of all that the client sends.
 */
export function answerConnections(server: Server, { name, count }: { name: string; count: ServedCount }): void {
  const http = createServer((request, response) => respond(request, response, name));
  server.on("connection", (socket) => {
    count.tcp++;
    count.lastClient = clientOf(socket.remoteAddress, socket.remotePort);
    socket.on("error", () => socket.destroy()); // a client may reset; nothing of ours is lost
    socket.once("data", (data) => {
      const chunk = Buffer.from(data);
      if (HTTP_REQUEST.test(chunk.subarray(0, 8).toString("latin1"))) {
        http.emit("connection", socket);
        socket.emit("data", chunk);
      } else echo(socket, { name, first: chunk });
    });
  });
}

function respond(request: IncomingMessage, response: ServerResponse, name: string): void {
  const { remoteAddress, remotePort } = request.socket;
  request.resume();
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.end(identity(name, clientOf(remoteAddress, remotePort)));
}

function echo(socket: Socket, { name, first }: { name: string; first: Buffer }): void {
  socket.write(identity(name, clientOf(socket.remoteAddress, socket.remotePort)));
  socket.write(first);
  socket.pipe(socket);
}

/** Answers every datagram with the same line and the datagram itself. */
export function answerDatagrams(socket: DatagramSocket, { name, count }: { name: string; count: ServedCount }): void {
  socket.on("error", () => {}); // an ICMP error for an answer that nobody waits for any more
  socket.on("message", (datagram, { address, port }) => {
    const client = clientOf(address, port);
    count.udp++;
    count.lastClient = client;
    socket.send(Buffer.concat([Buffer.from(identity(name, client)), datagram]), port, address);
  });
}

function identity(name: string, client: string): string {
  return `${name} ${client}\n`;
}

/** The kernel's text of an address is canonical; a socket that was reset already has none. */
function clientOf(address = "unknown", port = 0): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
