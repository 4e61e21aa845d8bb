import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface TestServer {
  readonly port: number;
  readonly server: Server;
  readonly sockets: Set<Socket>;
  /** Connections ever accepted. */
  count(): number;
}

/** A TCP server on a port of the system's choice until the test is over; half-open connections are left to `serve`. */
export async function startServer(serve: (socket: Socket) => void, host = "127.0.0.1"): Promise<TestServer> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    count++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    serve(socket);
  });
  server.listen(0, host);
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, server, sockets, count: () => count };
}

export function startEcho(host?: string): Promise<TestServer> {
  return startServer((socket) => socket.pipe(socket), host);
}

/** Says its name and ends. */
export function startNamed(name: string, host?: string): Promise<TestServer> {
  return startServer((socket) => socket.end(name), host);
}

/** A port on which nobody listens. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

export interface ClientResult {
  readonly text: string;
  /** The system's error code; empty for a FIN. */
  readonly code: string;
}

/** Dials, sends, says FIN where asked to, and hears the other side out. */
export async function talk(
  to: { readonly host: string; readonly port: number; readonly localAddress?: string },
  { send = "", fin = true }: { readonly send?: string; readonly fin?: boolean } = {},
): Promise<ClientResult> {
  const socket = connect({ ...to, allowHalfOpen: true });
  if (send !== "") socket.write(send);
  if (fin) socket.end();
  return hearOut(socket);
}

export async function hearOut(socket: Socket): Promise<ClientResult> {
  let text = "";
  let code = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk) => {
    text += String(chunk);
  });
  socket.on("error", (error) => {
    code = "code" in error ? String(error.code) : error.message;
  });
  socket.on("end", () => socket.end());
  await new Promise((resolve) => socket.once("close", resolve));
  return { text, code };
}
