import { type IpAddress, parseIpAddress, parsePort, type SocketAddress } from "@svcproxy/topology";
import { datagramPlane } from "../udp/udp-sockets.ts";
import type { ByteStream, DataPlane, Dial, DialOwner, Listener, StreamOwner } from "./byte-stream.ts";
import {
  type AddressInfo,
  type ConnectRequest,
  isTcpHandle,
  type NativeHandles,
  type ShutdownRequest,
  type TcpHandle,
  type WriteRequest,
} from "./native-handles.ts";
import { ReadBuffers, SMALLEST_READ_BUFFER_BYTES } from "./read-buffers.ts";
import { SystemCallError, systemErrorCode } from "./system-error.ts";

/** First keep-alive probe after this much silence; the kernel then sends one each second, ten in all (libuv's choice). */
const KEEP_ALIVE_DELAY_SECONDS = 60;
const UV_EOF = -4095;

/** The data plane on native handles: no stream object of Node's around a socket, reads into buffers that grow in a burst. */
export function handleDataPlane(native: NativeHandles): DataPlane {
  const buffers = new ReadBuffers();
  const wrap = (handle: TcpHandle) => new HandleStream(handle, { native, buffers });
  return {
    name: "handles",
    datagrams: datagramPlane(native),
    bind(address, port) {
      return new HandleListener(bindTcp(native, address, port), wrap);
    },
    adopt(handle) {
      if (!isTcpHandle(handle)) throw new TypeError("not a TCP handle");
      return new HandleListener(handle, wrap);
    },
    dial(to, owner) {
      return new HandleDial(to, { native, wrap, owner });
    },
  };
}

/** A TCP socket that is bound and does not listen. @throws SystemCallError */
function bindTcp(native: NativeHandles, address: IpAddress, port: number): TcpHandle {
  const handle = native.newTcpListener();
  const result = address.includes(":")
    ? handle.bind6(address, port, native.tcpIpv6Only)
    : handle.bind(address, port, 0);
  // libuv keeps EADDRINUSE back until the next call on the socket.
  const failed = result === 0 ? handle.getsockname({}) : result;
  if (failed === 0) return handle;
  handle.close();
  throw new SystemCallError(`bind ${address} port ${port}`, failed);
}

class HandleListener implements Listener {
  readonly handle: TcpHandle;
  readonly #wrap: (handle: TcpHandle) => ByteStream;

  constructor(handle: TcpHandle, wrap: (handle: TcpHandle) => ByteStream) {
    this.handle = handle;
    this.#wrap = wrap;
  }

  accept(backlog: number, onStream: (stream: ByteStream) => void): void {
    // What is set here is inherited by every accepted socket: no system call a connection.
    this.handle.setNoDelay(true);
    this.handle.setKeepAlive(true, KEEP_ALIVE_DELAY_SECONDS);
    this.handle.onconnection = (status, client) => {
      if (status === 0 && client !== undefined) onStream(this.#wrap(client));
    };
    const failed = this.handle.listen(backlog);
    if (failed !== 0) throw new SystemCallError("listen", failed);
  }

  close(): void {
    this.handle.close();
  }
}

/** A request knows its dial, so that one `oncomplete` serves all of them. */
interface OwnedConnectRequest extends ConnectRequest {
  dial?: HandleDial;
}

class HandleDial implements Dial {
  readonly #handle: TcpHandle;
  readonly #wrap: (handle: TcpHandle) => ByteStream;
  #owner: DialOwner | undefined;

  constructor(
    to: SocketAddress,
    { native, wrap, owner }: { native: NativeHandles; wrap: (handle: TcpHandle) => ByteStream; owner: DialOwner },
  ) {
    this.#owner = owner;
    this.#wrap = wrap;
    this.#handle = native.newTcpSocket();
    const request: OwnedConnectRequest = native.newConnectRequest();
    request.oncomplete = onConnect;
    request.dial = this;
    const failed = to.address.includes(":")
      ? this.#handle.connect6(request, to.address, to.port)
      : this.#handle.connect(request, to.address, to.port);
    if (failed !== 0) queueMicrotask(() => this.didConnect(failed));
  }

  didConnect(status: number): void {
    const owner = this.#owner;
    if (owner === undefined) return;
    this.#owner = undefined;
    if (status === 0) {
      this.#handle.setNoDelay(true);
      owner.onDialled(this.#wrap(this.#handle));
    } else {
      this.#handle.close();
      owner.onDialFailed(systemErrorCode(status));
    }
  }

  cancel(): void {
    if (this.#owner === undefined) return;
    this.#owner = undefined;
    this.#handle.close();
  }
}

function onConnect(this: OwnedConnectRequest, status: number): void {
  this.dial?.didConnect(status);
}

/** A handle knows its stream, so that one `onread` serves all of them. */
interface OwnedHandle extends TcpHandle {
  stream?: HandleStream;
}

interface OwnedWriteRequest extends WriteRequest {
  stream?: HandleStream;
}

interface OwnedShutdownRequest extends ShutdownRequest {
  stream?: HandleStream;
}

class HandleStream implements ByteStream {
  owner: StreamOwner | undefined = undefined;
  isClient = false;
  readonly #handle: OwnedHandle;
  readonly #native: NativeHandles;
  readonly #buffers: ReadBuffers;
  #buffer: Uint8Array | undefined = undefined;
  #write: WriteRequest | undefined = undefined;
  #closed = false;
  #reading = false;
  /** The kernel has not taken our FIN yet. */
  #finishing = false;

  constructor(handle: TcpHandle, { native, buffers }: { native: NativeHandles; buffers: ReadBuffers }) {
    this.#handle = handle;
    this.#native = native;
    this.#buffers = buffers;
  }

  peer(): SocketAddress | undefined {
    const info: AddressInfo = {};
    if (this.#closed || this.#handle.getpeername(info) !== 0) return undefined;
    // A link-local client comes with its zone (`fe80::1%eth0`), which is not part of its address.
    const address = parseIpAddress(info.address?.replace(/%.*/, "") ?? "");
    const port = parsePort(info.port ?? 0);
    return address === undefined || port === undefined ? undefined : { address, port };
  }

  startReading(): void {
    if (this.#closed || this.#reading) return;
    if (this.#buffer === undefined) {
      this.#buffer = this.#buffers.take();
      this.#handle.stream = this;
      this.#handle.onread = onRead;
      this.#handle.useUserBuffer(this.#buffer);
    }
    this.#reading = true;
    const failed = this.#handle.readStart();
    if (failed !== 0) this.owner?.onFault(this, systemErrorCode(failed), "read");
  }

  stopReading(): void {
    if (this.#closed || !this.#reading) return;
    this.#reading = false;
    this.#handle.readStop();
  }

  /** What the kernel read, or why it did not; returns the buffer for the next read where that changes. */
  didRead(): Uint8Array | undefined {
    const count = this.#native.streamState[this.#native.readCountIndex] ?? 0;
    const buffer = this.#buffer;
    if (this.#closed || buffer === undefined || count === 0) return undefined;
    if (count < 0) {
      this.stopReading();
      if (count === UV_EOF) this.owner?.onEnd(this);
      else this.owner?.onFault(this, systemErrorCode(count), "read");
      return undefined;
    }
    const full = count === buffer.length;
    this.owner?.onBytes(this, full ? buffer : buffer.subarray(0, count));
    // While reading goes on, the bytes have left the buffer; otherwise a write of the peer still points into it.
    if (this.#closed || !this.#reading) return undefined;
    if (full) this.#buffer = this.#buffers.grow(buffer);
    // One step only: a slow sender's bursts have small reads in between.
    else if (count * 8 < buffer.length) this.#buffer = this.#buffers.stepDown(buffer);
    return this.#buffer;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed) return true;
    const { writeErrorIndex, streamState } = this.#native;
    if (writeErrorIndex === undefined) return this.#writeWithRequest(bytes);
    const result = this.#handle.writeBuffer(null, bytes);
    if (typeof result === "number") return this.#writeIsOver(result);
    const failed = streamState[writeErrorIndex] ?? 0;
    if (failed !== 0) return this.#writeIsOver(failed);
    if (typeof result.writeStatus === "number") return this.#writeIsOver(result.writeStatus);
    return this.#writeIsUnderWay(result, bytes);
  }

  /** Before Node 26 every write needs a request, whether it will be under way or not. */
  #writeWithRequest(bytes: Uint8Array): boolean {
    const request = this.#native.newWriteRequest();
    const failed = this.#handle.writeBuffer(request, bytes);
    if (typeof failed === "number" && failed !== 0) return this.#writeIsOver(failed);
    const isAsync = this.#native.streamState[this.#native.writeIsAsyncIndex] ?? 0;
    return isAsync === 0 || this.#writeIsUnderWay(request, bytes);
  }

  #writeIsUnderWay(request: OwnedWriteRequest, bytes: Uint8Array): false {
    request.oncomplete = onWritten;
    request.buffer = bytes;
    request.stream = this;
    this.#write = request;
    return false;
  }

  #writeIsOver(status: number): true {
    if (status < 0) this.owner?.onFault(this, systemErrorCode(status), "write");
    return true;
  }

  didWrite(status: number): void {
    this.#write = undefined;
    if (this.#closed) return;
    if (status < 0) this.owner?.onFault(this, systemErrorCode(status), "write");
    this.owner?.onWritten(this);
  }

  pendingBytes(): number {
    return this.#write === undefined || this.#closed ? 0 : this.#handle.writeQueueSize;
  }

  finish(): void {
    if (this.#closed) return;
    const request: OwnedShutdownRequest = this.#native.newShutdownRequest();
    request.oncomplete = onFinished;
    request.stream = this;
    this.#finishing = this.#handle.shutdown(request) === 0;
  }

  didFinish(): void {
    this.#finishing = false;
  }

  keepAlive(): void {
    if (!this.#closed) this.#handle.setKeepAlive(true, KEEP_ALIVE_DELAY_SECONDS);
  }

  trim(): void {
    const buffer = this.#buffer;
    if (this.#closed || !this.#reading || buffer === undefined || buffer.length === SMALLEST_READ_BUFFER_BYTES) return;
    this.#buffer = this.#buffers.shrink(buffer);
    this.#handle.useUserBuffer(this.#buffer);
  }

  close(): void {
    if (this.#closed) return;
    this.#forget();
    this.#handle.close();
  }

  reset(): void {
    if (this.#closed) return;
    this.#forget();
    // libuv refuses it while a shutdown is under way, and Node's handle would then not let itself be closed either.
    if (this.#finishing) this.#handle.close();
    else this.#handle.reset();
  }

  #forget(): void {
    this.#closed = true;
    const buffer = this.#buffer;
    this.#buffer = undefined;
    if (buffer !== undefined) this.#buffers.release(buffer);
    this.owner = undefined;
  }
}

function onRead(this: OwnedHandle): Uint8Array | undefined {
  return this.stream?.didRead();
}

function onWritten(this: OwnedWriteRequest, status: number): void {
  this.stream?.didWrite(status);
}

function onFinished(this: OwnedShutdownRequest): void {
  this.stream?.didFinish();
}
