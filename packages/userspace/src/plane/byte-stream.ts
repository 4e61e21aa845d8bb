import type { IpAddress, SocketAddress } from "@svcproxy/topology";
import type { DatagramPlane } from "../udp/udp-sockets.ts";

/**
 * How bytes move, free of policy: listen, accept, dial, read, write, FIN, RST.
 * Implemented by native handles (`handle-streams.ts`) and by plain sockets (`socket-streams.ts`); a third one may splice.
 */
export interface DataPlane {
  readonly name: string;
  /** A bound socket that does not listen yet. @throws an error with a system error `code` */
  bind(address: IpAddress, port: number): Listener;
  /** A listener from another process. */
  adopt(handle: ListenerHandle): Listener;
  /** Absent where datagrams cannot be carried. */
  readonly datagrams: DatagramPlane | undefined;
  /** Tells `owner` once how it went, never before this returns; not at all after `cancel`. */
  dial(to: SocketAddress, owner: DialOwner): Dial;
}

/** A bound socket without what reads it. */
export interface ListenerHandle {
  close(): void;
}

export interface DialOwner {
  onDialled(stream: ByteStream): void;
  /** @param code the system's error code */
  onDialFailed(code: string): void;
}

export interface Dial {
  cancel(): void;
}

export interface Listener {
  /** What another process needs to accept as well. */
  readonly handle: ListenerHandle;
  /** Accepted streams inherit no-delay and keep-alive. They are not read until `startReading`. @throws like `bind` */
  accept(backlog: number, onStream: (stream: ByteStream) => void): void;
  /** Closes this process's copy; the queue of another process's copy is not touched. */
  close(): void;
}

/**
 * One connected TCP socket. All calls after `close` or `reset` do nothing.
 * Both streams of a connection are closed in one go: a write that waits on one of them reads from the other's buffer.
 */
export interface ByteStream {
  /** Gets the events. Set it before `startReading`. */
  owner: StreamOwner | undefined;
  /** Which side of a connection it is, for the owner. */
  isClient: boolean;
  /** The peer; undefined where it has already gone. */
  peer(): SocketAddress | undefined;
  startReading(): void;
  stopReading(): void;
  /**
   * True: the kernel has all of it, and `bytes` is the caller's again. False: `bytes` must not be touched until
   * `owner.onWritten`, and nothing else may be written before that.
   */
  write(bytes: Uint8Array): boolean;
  /** Bytes that `write` took and the kernel has not; 0 where nothing waits. */
  pendingBytes(): number;
  /** FIN after what waits to be written. */
  finish(): void;
  /** Turns TCP keep-alive on. */
  keepAlive(): void;
  /** Gives memory back that a burst needed. For streams on which nothing has moved for a while. */
  trim(): void;
  /** FIN, or RST where data was not read; drops what waits. */
  close(): void;
  /** RST. */
  reset(): void;
}

/** One object owns both streams of a connection, so that no closure is made for each. */
export interface StreamOwner {
  /** `bytes` is valid until this returns, or, where a `write` of it answered false, until `onWritten`. */
  onBytes(from: ByteStream, bytes: Uint8Array): void;
  /** FIN. */
  onEnd(from: ByteStream): void;
  /** Reading or writing failed; `code` is the system's. Nothing more comes from this side unless the fault was in writing. */
  onFault(from: ByteStream, code: string, during: "read" | "write"): void;
  onWritten(to: ByteStream): void;
}
