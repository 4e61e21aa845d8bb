import { StringDecoder } from "node:string_decoder";
import type { NativeHandle, NativeHandles, PipeHandle, TcpHandle, UdpHandle } from "../plane/native-handles.ts";
import { SystemCallError } from "../plane/system-error.ts";

const READ_BUFFER_BYTES = 64 * 1024;

/** A JSON value, with the handle that came along. */
export interface IpcMessage {
  readonly value: unknown;
  readonly handle: TcpHandle | UdpHandle | undefined;
}

/**
 * JSON lines over a unix socket between unrelated processes, each with at most one handle.
 * A message with a handle must be answered before the next one is sent, so that line and handle stay together.
 */
export class IpcChannel {
  readonly #native: NativeHandles;
  readonly #pipe: PipeHandle;
  readonly #decoder = new StringDecoder("utf8");
  readonly #messages: IpcMessage[] = [];
  readonly #buffer = new Uint8Array(READ_BUFFER_BYTES);
  #text = "";
  #handle: TcpHandle | UdpHandle | undefined;
  #waiting: PromiseWithResolvers<IpcMessage | undefined> | undefined;
  #ended = false;
  #closed = false;

  /** @param pipe connected, made with `newIpcPipe` */
  constructor(native: NativeHandles, pipe: PipeHandle) {
    this.#native = native;
    this.#pipe = pipe;
    pipe.onread = () => {
      this.#didRead();
      return undefined;
    };
    pipe.useUserBuffer(this.#buffer);
    pipe.readStart();
  }

  #didRead(): void {
    const count = this.#native.streamState[this.#native.readCountIndex] ?? 0;
    const handle = this.#pipe.pendingHandle;
    this.#pipe.pendingHandle = null;
    if (handle !== undefined && handle !== null) this.#handle = handle;
    if (count < 0) {
      this.#ended = true;
      this.#pipe.readStop();
      this.#waiting?.resolve(undefined);
      return;
    }
    this.#text += this.#decoder.write(Buffer.from(this.#buffer.subarray(0, count)));
    const lines = this.#text.split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) this.#deliver(line);
  }

  #deliver(line: string): void {
    const message: IpcMessage = { value: parseJson(line), handle: this.#handle };
    this.#handle = undefined;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#messages.push(message);
    else waiting.resolve(message);
  }

  /** The next message; undefined where the other side is gone. */
  async receive(): Promise<IpcMessage | undefined> {
    const message = this.#messages.shift();
    if (message !== undefined) return message;
    if (this.#ended || this.#closed) return undefined;
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  /** @throws SystemCallError */
  send(value: unknown, handle?: NativeHandle): void {
    const request = this.#native.newWriteRequest();
    request.oncomplete = () => {};
    const line = `${JSON.stringify(value)}\n`;
    const failed =
      handle === undefined
        ? this.#pipe.writeUtf8String(request, line)
        : this.#pipe.writeUtf8String(request, line, handle);
    if (failed !== 0) throw new SystemCallError("write", failed);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting?.resolve(undefined);
    this.#pipe.close();
  }
}

/** Undefined where it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Connects to a unix socket so that handles can come over it. @throws SystemCallError */
export async function connectIpcChannel(native: NativeHandles, path: string): Promise<IpcChannel> {
  const pipe = native.newIpcPipe();
  const request = native.newPipeConnectRequest();
  const status = await new Promise<number>((resolve) => {
    request.oncomplete = resolve;
    const failed = pipe.connect(request, path);
    if (typeof failed === "number" && failed !== 0) resolve(failed);
  });
  if (status === 0) return new IpcChannel(native, pipe);
  pipe.close();
  throw new SystemCallError(`connect ${path}`, status);
}
