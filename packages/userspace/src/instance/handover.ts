import type { Socket } from "node:net";
import process from "node:process";
import { isTcpHandle, isUdpHandle, type NativeHandles } from "../plane/native-handles.ts";
import type { HandedListener, InheritedListeners } from "../service-proxy.ts";
import { connectIpcChannel, IpcChannel, type IpcMessage } from "./ipc-channel.ts";

/** What a successor holds between the first listener and the moment when it serves. */
export interface Handover {
  readonly pid: number;
  readonly listeners: InheritedListeners;
  /** Says that everything listens here; resolves when the predecessor has let the lock go, or has ended. */
  finish(): Promise<void>;
  /** The predecessor goes on as if nothing had been. */
  abandon(): void;
}

/** The predecessor's sockets, one after the other. @throws Error where it does not hand them over */
export async function receiveListeners(native: NativeHandles, controlPath: string): Promise<Handover> {
  const channel = await connectIpcChannel(native, controlPath);
  channel.send({ kind: "take-over", pid: process.pid });
  const listeners: InheritedListeners = new Map();
  for (;;) {
    const message = await channel.receive();
    const line = readLine(message);
    if (line?.kind === "all") {
      return {
        pid: line.pid,
        listeners,
        finish: () => finishHandover(channel),
        abandon: () => channel.close(),
      };
    }
    if (line?.kind !== "listener" || message?.handle === undefined) {
      channel.close();
      for (const { handle } of listeners.values()) handle.close();
      throw new Error("it broke off the hand-over");
    }
    const { handle } = message;
    listeners.set(line.key, { key: line.key, protocol: isUdpHandle(handle) ? "udp" : "tcp", handle });
    channel.send({ kind: "got" });
  }
}

async function finishHandover(channel: IpcChannel): Promise<void> {
  try {
    channel.send({ kind: "listening", pid: process.pid });
    await channel.receive();
  } catch {
    // The predecessor is gone already: then its lock is free too.
  }
  channel.close();
}

/**
 * Hands listeners to the process at the other end of `socket`.
 *
 * @param release gives lock and control socket back; called when the successor listens
 * @returns the successor's pid; undefined where it broke off, and everything stays as it was
 */
export async function sendListeners(
  native: NativeHandles,
  {
    socket,
    listeners,
    release,
  }: { socket: Socket; listeners: readonly HandedListener[]; release: () => Promise<void> },
): Promise<number | undefined> {
  const channel = channelOver(native, socket);
  if (channel === undefined) {
    socket.destroy();
    return undefined;
  }
  try {
    for (const { key, protocol, handle } of listeners) {
      if (!isTcpHandle(handle) && !isUdpHandle(handle)) return undefined;
      channel.send({ kind: "listener", key, protocol }, handle);
      if ((await channel.receive()) === undefined) return undefined;
    }
    channel.send({ kind: "all", pid: process.pid });
    const answer = readLine(await channel.receive());
    if (answer?.kind !== "listening") return undefined;
    await release();
    channel.send({ kind: "released" });
    return answer.pid;
  } catch {
    return undefined; // the successor ended: this instance goes on
  } finally {
    channel.close();
  }
}

/** Accepted sockets whose descriptor a channel has taken over; they must not close it a second time. */
const borrowed = new Set<Socket>();

/**
 * A channel that can carry handles on an accepted connection. Node accepts only plain pipes, so a second handle takes the
 * descriptor; the first one is stopped, kept, and never closed.
 */
function channelOver(native: NativeHandles, socket: Socket): IpcChannel | undefined {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null || !("fd" in handle) || !("readStop" in handle)) return undefined;
  if (typeof handle.fd !== "number" || typeof handle.readStop !== "function") return undefined;
  socket.setTimeout(0);
  socket.pause();
  handle.readStop();
  borrowed.add(socket.unref());
  const pipe = native.newIpcPipe();
  return pipe.open(handle.fd) === 0 || pipe.fd === handle.fd ? new IpcChannel(native, pipe) : undefined;
}

type Line =
  | { readonly kind: "listener"; readonly key: string }
  | { readonly kind: "all" | "listening"; readonly pid: number };

function readLine(message: IpcMessage | undefined): Line | undefined {
  const value = message?.value;
  if (typeof value !== "object" || value === null || !("kind" in value)) return undefined;
  if (value.kind === "listener") {
    return "key" in value && typeof value.key === "string" ? { kind: value.kind, key: value.key } : undefined;
  }
  if (value.kind !== "all" && value.kind !== "listening") return undefined;
  return "pid" in value && typeof value.pid === "number" ? { kind: value.kind, pid: value.pid } : undefined;
}
