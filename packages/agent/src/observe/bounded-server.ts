import { createServer, type RequestListener, type Server } from "node:http";
import type { Socket } from "node:net";

/** A request has to be whole by then, its head sooner; nobody who asks honestly takes longer. */
const REQUEST_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 5_000;
/** A connection on which nothing moves is closed after this long. */
const IDLE_TIMEOUT_MS = 10_000;
/** Between two requests on one connection. */
const KEEP_ALIVE_MS = 5_000;
/** Those timeouts are looked at this often. */
const CHECK_MS = 1_000;
const MAX_HEADER_BYTES = 8 * 1024;

/**
 * Connections that servers of one kind may have together. At the limit the one that has asked nothing for longest makes room, so that
 * whoever only holds connections keeps nobody out who asks.
 */
export class ConnectionPool {
  readonly #limit: number;
  /** In the order in which they came; true while a request is being answered. */
  readonly #sockets = new Map<Socket, boolean>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#sockets.size;
  }

  enter(socket: Socket): void {
    if (this.#sockets.size >= this.#limit && !this.#makeRoom()) {
      socket.destroy();
      return;
    }
    this.#sockets.set(socket, false);
    socket.once("close", () => this.#sockets.delete(socket));
  }

  #makeRoom(): boolean {
    for (const [socket, isAnswered] of this.#sockets) {
      if (isAnswered) continue;
      this.#sockets.delete(socket);
      socket.destroy();
      return true;
    }
    return false;
  }

  /** A request came. */
  asked(socket: Socket): void {
    if (this.#sockets.has(socket)) this.#sockets.set(socket, true);
  }

  /** It was answered: of those that ask nothing this one is the youngest. */
  answered(socket: Socket): void {
    if (!this.#sockets.delete(socket)) return;
    this.#sockets.set(socket, false);
  }
}

/** An HTTP server that nobody can make hold many descriptors, or any for long. */
export function createBoundedServer(answer: RequestListener, pool: ConnectionPool): Server {
  const server = createServer(
    {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    (request, response) => {
      const { socket } = request;
      pool.asked(socket);
      response.once("close", () => pool.answered(socket));
      answer(request, response);
    },
  );
  server.timeout = IDLE_TIMEOUT_MS;
  server.on("connection", (socket: Socket) => pool.enter(socket));
  return server;
}
