import process from "node:process";

/**
 * The few native handles that `net` and `dgram` wrap, without the streams around them.
 *
 * Why: building two `net.Socket`s a connection costs half the rate of new connections and most of the memory, `onread` on an
 * accepted socket is not public, and listening without accepting (for workers) or handing a listener to an unrelated
 * process cannot be said with the public API. They are reached by `process.binding`, which is deprecated but kept;
 * `loadNativeHandles` checks every member that is used and answers undefined where one is missing, and then the plain
 * sockets of `socket-streams.ts` carry the traffic.
 */
export interface NativeHandles {
  newTcpListener(): TcpHandle;
  newTcpSocket(): TcpHandle;
  newConnectRequest(): ConnectRequest;
  newShutdownRequest(): ShutdownRequest;
  newUdpSocket(): UdpHandle;
  newSendRequest(): SendRequest;
  /** A unix socket that can carry handles. */
  newIpcPipe(): PipeHandle;
  newPipeConnectRequest(): ConnectRequest;
  newWriteRequest(): WriteRequest;
  /** Shared state of all streams; valid right after a read or a write. */
  readonly streamState: Int32Array;
  /** Index in `streamState`: bytes read, or a negative error number. */
  readonly readCountIndex: number;
  /** Index in `streamState`: whether the last write is under way. */
  readonly writeIsAsyncIndex: number;
  /** Index in `streamState`: the last write's error. Undefined where `writeBuffer` wants a request and returns the error (Node before 26). */
  readonly writeErrorIndex: number | undefined;
  readonly tcpIpv6Only: number;
  readonly udpIpv6Only: number;
}

export interface NativeHandle {
  readonly fd: number;
  close(done?: () => void): void;
  ref(): void;
  unref(): void;
}

/** Numbers returned are 0 or a negative system error number, where nothing else is said. */
export interface StreamHandle extends NativeHandle {
  readonly writeQueueSize: number;
  onread: (buffer?: ArrayBuffer) => Uint8Array | undefined;
  readStart(): number;
  readStop(): number;
  /** Without a request: 0 where all is written, a negative error number, or the request that is under way. With one: 0 or the error. */
  writeBuffer(request: WriteRequest | null, bytes: Uint8Array): number | WriteRequest;
  shutdown(request: ShutdownRequest): number;
  /** Reads go into this buffer, and into the one that `onread` returns after that. */
  useUserBuffer(buffer: Uint8Array): void;
}

export interface TcpHandle extends StreamHandle {
  onconnection: (status: number, client?: TcpHandle) => void;
  bind(address: string, port: number, flags: number): number;
  bind6(address: string, port: number, flags: number): number;
  listen(backlog: number): number;
  connect(request: ConnectRequest, address: string, port: number): number;
  connect6(request: ConnectRequest, address: string, port: number): number;
  getsockname(into: AddressInfo): number;
  getpeername(into: AddressInfo): number;
  setNoDelay(on: boolean): number;
  setKeepAlive(on: boolean, delaySeconds: number): number;
  /** Closes with a RST. */
  reset(done?: () => void): number;
}

export interface UdpHandle extends NativeHandle {
  onmessage: (count: number, handle: UdpHandle, bytes: Uint8Array | undefined, from: AddressInfo | undefined) => void;
  bind(address: string, port: number, flags: number): number;
  bind6(address: string, port: number, flags: number): number;
  connect(address: string, port: number): number;
  connect6(address: string, port: number): number;
  /** More than 0: sent, and the request is free; 0: under way. The connected form has no port and address. */
  send(
    request: SendRequest,
    list: readonly Uint8Array[],
    count: number,
    portOrCallback: number | boolean,
    address?: string,
    callback?: boolean,
  ): number;
  send6(
    request: SendRequest,
    list: readonly Uint8Array[],
    count: number,
    portOrCallback: number | boolean,
    address?: string,
    callback?: boolean,
  ): number;
  getsockname(into: AddressInfo): number;
  recvStart(): number;
  recvStop(): number;
  /** Sets (size > 0) or reads a socket buffer; undefined where it failed, and `context` says why. */
  bufferSize(size: number, receive: boolean, context: object): number | undefined;
}

export interface PipeHandle extends StreamHandle {
  /** Set before `onread` where a handle came with the bytes. */
  pendingHandle?: TcpHandle | UdpHandle | null;
  open(fd: number): number;
  connect(request: ConnectRequest, path: string): number;
  writeUtf8String(request: WriteRequest, text: string, handle?: NativeHandle): number;
}

export interface AddressInfo {
  address?: string;
  port?: number;
  family?: string;
}

export interface ConnectRequest {
  oncomplete?: (this: ConnectRequest, status: number) => void;
}

export interface ShutdownRequest {
  oncomplete?: (status: number) => void;
}

export interface WriteRequest {
  oncomplete?: (this: WriteRequest, status: number) => void;
  /** Set where the write was over before `oncomplete` could be. */
  writeStatus?: number | null;
  /** Keeps the bytes alive until they are written. */
  buffer?: Uint8Array;
}

export interface SendRequest {
  oncomplete?: (status: number, sentBytes: number) => void;
  list?: readonly Uint8Array[];
}

type Constructor<T> = new (kind?: number) => T;

interface TcpBinding {
  readonly TCP: Constructor<TcpHandle>;
  readonly TCPConnectWrap: Constructor<ConnectRequest>;
  readonly constants: { readonly SOCKET: number; readonly SERVER: number; readonly UV_TCP_IPV6ONLY: number };
}

interface UdpBinding {
  readonly UDP: Constructor<UdpHandle>;
  readonly SendWrap: Constructor<SendRequest>;
  readonly constants: { readonly UV_UDP_IPV6ONLY: number };
}

interface PipeBinding {
  readonly Pipe: Constructor<PipeHandle>;
  readonly PipeConnectWrap: Constructor<ConnectRequest>;
  readonly constants: { readonly IPC: number };
}

interface StreamBinding {
  readonly ShutdownWrap: Constructor<ShutdownRequest>;
  readonly WriteWrap: Constructor<WriteRequest>;
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
  readonly kLastWriteErr: number | undefined;
}

const STREAM_METHODS = ["readStart", "readStop", "writeBuffer", "shutdown", "useUserBuffer", "close", "ref", "unref"];
const TCP_METHODS = [
  ...["bind", "bind6", "listen", "connect", "connect6", "getsockname", "getpeername"],
  ...["setNoDelay", "setKeepAlive", "reset", ...STREAM_METHODS],
];
const UDP_METHODS = [
  ...["bind", "bind6", "connect", "connect6", "send", "send6", "getsockname"],
  ...["recvStart", "recvStop", "bufferSize", "close", "ref", "unref"],
];
const PIPE_METHODS = ["open", "connect", "writeUtf8String", ...STREAM_METHODS];

let loaded: NativeHandles | null | undefined;

/** The native handles, or undefined where this Node does not have them in the shape that is known. Decided once. */
export function loadNativeHandles(): NativeHandles | undefined {
  loaded ??= findNativeHandles() ?? null;
  return loaded ?? undefined;
}

function findNativeHandles(): NativeHandles | undefined {
  const tcp = binding("tcp_wrap");
  const udp = binding("udp_wrap");
  const pipe = binding("pipe_wrap");
  const stream = binding("stream_wrap");
  if (!isTcpBinding(tcp) || !isUdpBinding(udp) || !isPipeBinding(pipe) || !isStreamBinding(stream)) return undefined;
  return {
    newTcpListener: () => new tcp.TCP(tcp.constants.SERVER),
    newTcpSocket: () => new tcp.TCP(tcp.constants.SOCKET),
    newConnectRequest: () => new tcp.TCPConnectWrap(),
    newShutdownRequest: () => new stream.ShutdownWrap(),
    newUdpSocket: () => new udp.UDP(),
    newSendRequest: () => new udp.SendWrap(),
    newIpcPipe: () => new pipe.Pipe(pipe.constants.IPC),
    newPipeConnectRequest: () => new pipe.PipeConnectWrap(),
    newWriteRequest: () => new stream.WriteWrap(),
    streamState: stream.streamBaseState,
    readCountIndex: stream.kReadBytesOrError,
    writeIsAsyncIndex: stream.kLastWriteWasAsync,
    writeErrorIndex: stream.kLastWriteErr,
    tcpIpv6Only: tcp.constants.UV_TCP_IPV6ONLY,
    udpIpv6Only: udp.constants.UV_UDP_IPV6ONLY,
  };
}

function binding(name: string): unknown {
  const find: unknown = Reflect.get(process, "binding");
  if (typeof find !== "function") return undefined;
  try {
    return Reflect.apply(find, process, [name]);
  } catch {
    return undefined; // no such binding in this Node
  }
}

function isTcpBinding(value: unknown): value is TcpBinding {
  return (
    hasClass(value, "TCP", TCP_METHODS) &&
    hasClass(value, "TCPConnectWrap", []) &&
    hasNumbers(member(value, "constants"), ["SOCKET", "SERVER", "UV_TCP_IPV6ONLY"])
  );
}

function isUdpBinding(value: unknown): value is UdpBinding {
  return (
    hasClass(value, "UDP", UDP_METHODS) &&
    hasClass(value, "SendWrap", []) &&
    hasNumbers(member(value, "constants"), ["UV_UDP_IPV6ONLY"])
  );
}

function isPipeBinding(value: unknown): value is PipeBinding {
  return (
    hasClass(value, "Pipe", PIPE_METHODS) &&
    hasClass(value, "PipeConnectWrap", []) &&
    hasNumbers(member(value, "constants"), ["IPC"])
  );
}

function isStreamBinding(value: unknown): value is StreamBinding {
  return (
    hasClass(value, "ShutdownWrap", []) &&
    hasClass(value, "WriteWrap", []) &&
    hasNumbers(value, ["kReadBytesOrError", "kLastWriteWasAsync"]) &&
    member(value, "streamBaseState") instanceof Int32Array
  );
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function hasClass(value: unknown, name: string, methods: readonly string[]): boolean {
  const found = member(value, name);
  if (typeof found !== "function") return false;
  return methods.every((method) => method in found.prototype);
}

function hasNumbers(value: unknown, names: readonly string[]): boolean {
  return names.every((name) => typeof member(value, name) === "number");
}

export function isUdpHandle(handle: object): handle is UdpHandle {
  return "recvStart" in handle && "bind6" in handle;
}

export function isTcpHandle(handle: object): handle is TcpHandle {
  return "listen" in handle && "connect6" in handle;
}
