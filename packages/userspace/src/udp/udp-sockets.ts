import type { IpAddress, SocketAddress } from "@svcproxy/topology";
import type { NativeHandles, SendRequest, UdpHandle } from "../plane/native-handles.ts";
import { SystemCallError, systemErrorCode } from "../plane/system-error.ts";

/** Datagrams that wait in the process because the socket's send buffer is full; what comes on top is dropped. */
const MAX_WAITING_SENDS = 1_024;

/** Datagrams as the data plane carries them. */
export interface DatagramPlane {
  /** A socket that is bound and does not receive yet. @throws an error with a system error `code` */
  bind(options: { address: IpAddress; port: number; bufferBytes: number }): UdpHandle;
  /** A socket that talks to one endpoint only, so that the kernel tells of its ICMP errors. @throws like `bind` */
  connect(to: SocketAddress, bufferBytes: number): UdpHandle;
  newSender(): DatagramSender;
}

export function datagramPlane(native: NativeHandles): DatagramPlane {
  return {
    bind: (options) => bindUdp(native, options),
    connect: (to, bufferBytes) => connectUdp(native, to, bufferBytes),
    newSender: () => new DatagramSender(native),
  };
}

function bindUdp(
  native: NativeHandles,
  { address, port, bufferBytes }: { address: IpAddress; port: number; bufferBytes: number },
): UdpHandle {
  const handle = native.newUdpSocket();
  const failed = address.includes(":")
    ? handle.bind6(address, port, native.udpIpv6Only)
    : handle.bind(address, port, 0);
  if (failed !== 0) {
    handle.close();
    throw new SystemCallError(`bind ${address} port ${port}`, failed);
  }
  askForBuffers(handle, bufferBytes);
  return handle;
}

function connectUdp(native: NativeHandles, to: SocketAddress, bufferBytes: number): UdpHandle {
  const handle = native.newUdpSocket();
  const failed = to.address.includes(":") ? handle.connect6(to.address, to.port) : handle.connect(to.address, to.port);
  if (failed !== 0) {
    handle.close();
    throw new SystemCallError(`connect ${to.address} port ${to.port}`, failed);
  }
  askForBuffers(handle, bufferBytes);
  return handle;
}

/** The kernel grants up to net.core.rmem_max and wmem_max without a word. */
function askForBuffers(handle: UdpHandle, bytes: number): void {
  handle.bufferSize(bytes, true, {});
  handle.bufferSize(bytes, false, {});
}

/** Sends datagrams without a callback or a promise each. */
export class DatagramSender {
  readonly #native: NativeHandles;
  #spare: SendRequest;
  /** Used again as long as the kernel takes datagrams at once. */
  #list: Uint8Array[] = [];
  #waiting = 0;

  constructor(native: NativeHandles) {
    this.#native = native;
    this.#spare = native.newSendRequest();
  }

  /** @returns an error code, `EAGAIN` where too much waits already; undefined where it is on its way */
  sendConnected(handle: UdpHandle, bytes: Uint8Array): string | undefined {
    if (this.#waiting >= MAX_WAITING_SENDS) return "EAGAIN";
    this.#list[0] = bytes;
    return this.#sent(handle.send(this.#spare, this.#list, 1, true));
  }

  sendTo(handle: UdpHandle, bytes: Uint8Array, to: { address: string; port: number }): string | undefined {
    if (this.#waiting >= MAX_WAITING_SENDS) return "EAGAIN";
    this.#list[0] = bytes;
    const result = to.address.includes(":")
      ? handle.send6(this.#spare, this.#list, 1, to.port, to.address, true)
      : handle.send(this.#spare, this.#list, 1, to.port, to.address, true);
    return this.#sent(result);
  }

  #sent(result: number): string | undefined {
    if (result < 0) return systemErrorCode(result);
    if (result > 0) return undefined; // the kernel has it, and the request is free again
    this.#waiting++;
    const request = this.#spare;
    request.list = this.#list;
    this.#list = [];
    request.oncomplete = () => {
      this.#waiting--;
    };
    this.#spare = this.#native.newSendRequest();
    return undefined;
  }
}
