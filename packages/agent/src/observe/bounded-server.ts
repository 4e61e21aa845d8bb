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

/** Those that came a moment ago, and whose request may have come along; they count beside the limit. */
const MOST_ARRIVING = 16;

/**
 * Connections that servers of one kind may have together. At the limit one that asks nothing makes room: of the client with the most such
 * connections, the one that has done so for longest. So whoever only holds connections, or opens them again and again, keeps nobody out who asks.
 */
export class ConnectionPool {
  readonly #limit: number;
  /** In the order in which they came. */
  readonly #arriving = new Map<Socket, string>();
  /** Those that ask nothing, with their client; in the order of their last answer, or arrival. */
  readonly #idle = new Map<Socket, string>();
  /** Those whose request is being answered. */
  readonly #asking = new Map<Socket, string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#arriving.size + this.#idle.size + this.#asking.size;
  }

  enter(socket: Socket): void {
    if (this.#arriving.size >= MOST_ARRIVING) closeOne(this.#arriving);
    this.#arriving.set(socket, clientOf(socket));
    socket.once("close", () => {
      for (const sockets of [this.#arriving, this.#idle, this.#asking]) sockets.delete(socket);
    });
    // What came along with the connection has been read by then.
    setImmediate(() => setImmediate(() => this.#settle(socket)));
  }

  /** It has come, and asked nothing yet. */
  #settle(socket: Socket): void {
    const client = this.#arriving.get(socket);
    if (client === undefined || !this.#arriving.delete(socket)) return;
    this.#idle.set(socket, client);
    this.#makeRoom();
  }

  #makeRoom(): void {
    while (this.#idle.size > 0 && this.#idle.size + this.#asking.size > this.#limit) closeOne(this.#idle);
  }

  /** A request came. */
  asked(socket: Socket): void {
    const client = this.#arriving.get(socket) ?? this.#idle.get(socket);
    if (client === undefined) return;
    this.#arriving.delete(socket);
    this.#idle.delete(socket);
    this.#asking.set(socket, client);
    this.#makeRoom();
    if (this.#asking.size > this.#limit) socket.destroy();
  }

  /** It was answered: of those that ask nothing this one is the youngest. */
  answered(socket: Socket): void {
    const client = this.#asking.get(socket);
    if (client === undefined) return;
    this.#asking.delete(socket);
    this.#idle.set(socket, client);
    this.#makeRoom();
  }
}

/** The oldest of the client with the most. */
function closeOne(sockets: Map<Socket, string>): void {
  const counts = new Map<string, number>();
  for (const client of sockets.values()) counts.set(client, (counts.get(client) ?? 0) + 1);
  const most = Math.max(...counts.values());
  for (const [socket, client] of sockets) {
    if (counts.get(client) !== most) continue;
    sockets.delete(socket);
    socket.destroy();
    return;
  }
}

/** Who has one address of a network has them all: IPv6 /64, and the host itself all of 127.0.0.0/8. */
function clientOf({ remoteAddress = "" }: Socket): string {
  const address = remoteAddress.replace(/^::ffff:(?=\d+\.)/, "");
  if (address.startsWith("127.") || address === "::1") return "this host";
  return address.includes(":") ? address.split(":").slice(0, 4).join(":") : address;
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
