import net, { connect, createServer, type Server, type Socket } from "node:net";
import { parseIpAddress, parsePort, type SocketAddress } from "@svcproxy/topology";
import type { ByteStream, DataPlane, Dial, DialOwner, Listener, StreamOwner } from "./byte-stream.ts";

const KEEP_ALIVE_DELAY_MS = 60_000;

/**
 * The data plane on Node's public sockets: slower and larger than native handles, but there wherever Node is.
 * Its listeners cannot be shared with other processes. Undefined before Node 26.4, which cannot bind without listening.
 */
export function socketDataPlane(): DataPlane | undefined {
  if (!("BoundSocket" in net)) return undefined;
  return {
    name: "sockets",
    datagrams: undefined,
    bind: (address, port) =>
      new SocketListener(new net.BoundSocket({ host: address, port, ipv6Only: address.includes(":") })),
    adopt(handle) {
      if (!(handle instanceof net.BoundSocket)) throw new TypeError("not a bound socket");
      return new SocketListener(handle);
    },
    dial: (to, owner) => new SocketDial(to, owner),
  };
}

class SocketListener implements Listener {
  readonly handle: net.BoundSocket;
  #server: Server | undefined;

  constructor(handle: net.BoundSocket) {
    this.handle = handle;
  }

  accept(backlog: number, onStream: (stream: ByteStream) => void): void {
    const options = { allowHalfOpen: true, pauseOnConnect: true, noDelay: true, keepAlive: true };
    this.#server = createServer({ ...options, keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS }, (socket) =>
      onStream(new SocketStream(socket)),
    );
    this.#server.listen(this.handle, backlog);
  }

  close(): void {
    if (this.#server === undefined) this.handle.close();
    else this.#server.close();
  }
}

class SocketDial implements Dial {
  readonly #socket: Socket;
  #owner: DialOwner | undefined;

  constructor({ address, port }: SocketAddress, owner: DialOwner) {
    this.#owner = owner;
    const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
    this.#socket = socket;
    const onError = (error: Error) => this.#finish()?.onDialFailed(codeOf(error));
    socket.once("error", onError);
    socket.once("connect", () => {
      socket.off("error", onError);
      this.#finish()?.onDialled(new SocketStream(socket));
    });
  }

  #finish(): DialOwner | undefined {
    const owner = this.#owner;
    this.#owner = undefined;
    return owner;
  }

  cancel(): void {
    if (this.#finish() !== undefined) this.#socket.destroy();
  }
}

class SocketStream implements ByteStream {
  owner: StreamOwner | undefined = undefined;
  isClient = false;
  readonly #socket: Socket;
  /** Writes begun and over: `onWritten` is said when they are even. */
  #begun = 0;
  #over = 0;
  #waits = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("error", (error) => this.owner?.onFault(this, codeOf(error), "read"));
  }

  peer(): SocketAddress | undefined {
    const address = parseIpAddress(this.#socket.remoteAddress ?? "");
    const port = parsePort(this.#socket.remotePort ?? 0);
    return address === undefined || port === undefined ? undefined : { address, port };
  }

  startReading(): void {
    if (this.#socket.listenerCount("data") === 0) {
      this.#socket.on("data", (bytes) => {
        if (typeof bytes !== "string") this.owner?.onBytes(this, bytes); // no encoding is ever set
      });
      this.#socket.on("end", () => this.owner?.onEnd(this));
    }
    this.#socket.resume();
  }

  stopReading(): void {
    this.#socket.pause();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#socket.destroyed || this.#socket.writableEnded) return true;
    this.#begun++;
    this.#socket.write(bytes, (error) => this.#wrote(error));
    this.#waits = this.#socket.writableLength > 0;
    return !this.#waits;
  }

  #wrote(error: Error | null | undefined): void {
    this.#over++;
    if (!this.#waits || this.#over !== this.#begun || (error !== null && error !== undefined)) return;
    this.#waits = false;
    this.owner?.onWritten(this);
  }

  pendingBytes(): number {
    return this.#socket.destroyed ? 0 : this.#socket.writableLength;
  }

  finish(): void {
    this.#socket.end();
  }

  keepAlive(): void {
    this.#socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
  }

  trim(): void {} // Node reads into memory of its own

  close(): void {
    this.owner = undefined;
    this.#socket.destroy();
  }

  reset(): void {
    this.owner = undefined;
    this.#socket.resetAndDestroy();
  }
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : "EIO";
}
