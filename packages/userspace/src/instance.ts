import { chmod, stat, unlink } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import process from "node:process";
import {
  type ConnectionQuestion,
  findLockHolder,
  lockNamespace,
  type NamespaceLock,
  tryLockNamespace,
} from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import { type Handover, receiveListeners, sendListeners } from "./instance/handover.ts";
import type { InstanceClaim, InstanceOptions, InstanceService } from "./instance/instance-options.ts";
import { type InstancePlace, instancePlace, locateInstance } from "./instance/instance-place.ts";
import { parseJson } from "./instance/ipc-channel.ts";
import { loadNativeHandles } from "./plane/native-handles.ts";
import type { InheritedListeners } from "./service-proxy.ts";

/** A predecessor that was told to let go gives the lock back within this time. */
const LOCK_PATIENCE_MS = 5_000;
/** An answer of a running instance takes at most this long. */
const ANSWER_TIMEOUT_MS = 10_000;
const MAX_REQUEST_BYTES = 4_096;
/** See `RESERVED_DESCRIPTORS`. */
const MAX_CONTROL_CONNECTIONS = 8;

/**
 * Makes this process the one proxy of its network namespace, or takes the listeners of the one that runs.
 *
 * @throws EnvironmentError ALREADY_RUNNING without `takeOver`; TAKE_OVER_FAILED where the running one does not hand over
 */
export async function claimInstance(options: InstanceOptions): Promise<InstanceClaim> {
  await refuseBesideAnotherUsers(options);
  const place = await instancePlace(options);
  const attempt = await tryLockNamespace({ name: place.lockName, directory: place.directory });
  if (attempt.kind === "locked") return new Claim(place, { lock: attempt.lock });
  const who = nameProcess(attempt.pid);
  if (options.takeOver !== true)
    throw alreadyRunning(who, "--take-over continues in its place without a lost connection");
  const native = loadNativeHandles();
  if (native === undefined) throw takeOverFailed(who, "this Node cannot receive sockets");
  try {
    return new Claim(place, { handover: await receiveListeners(native, place.controlPath) });
  } catch (error) {
    throw takeOverFailed(who, error instanceof Error ? error.message : String(error));
  }
}

/** Root sees the instance of another user, as the systemd unit starts it, but cannot continue in its place. */
async function refuseBesideAnotherUsers(options: InstanceOptions): Promise<void> {
  const { directory, lockName } = await locateInstance(options);
  const owner = await stat(directory).then(
    ({ uid }) => uid,
    () => undefined,
  );
  if (process.getuid?.() !== 0 || owner === undefined || owner === 0) return;
  const holder = await findLockHolder({ name: lockName, directory });
  if (holder !== undefined) throw alreadyRunning(`${nameProcess(holder.pid)} (uid ${owner})`, "Stop it first");
}

function nameProcess(pid: number | undefined): string {
  return pid === undefined ? "another process" : `pid ${pid}`;
}

function alreadyRunning(who: string, hint: string): EnvironmentError {
  return new EnvironmentError(
    "ALREADY_RUNNING",
    `Cannot start: ${who} runs svcproxy userspace in this network namespace`,
    { hint },
  );
}

function takeOverFailed(who: string, reason: string): EnvironmentError {
  return new EnvironmentError("TAKE_OVER_FAILED", `Cannot take over from ${who}: ${reason}`, {
    hint: "Run it as the same user and with the same runtime directory",
  });
}

export type InstanceQuestion =
  | { readonly kind: "status" | "served" }
  | ({ readonly kind: "connections" } & ConnectionQuestion);

/** What the running instance says of itself, of what it serves, or of who is connected. @throws EnvironmentError NOT_RUNNING */
export async function queryInstance(
  options: InstanceOptions,
  question: InstanceQuestion = { kind: "status" },
): Promise<unknown> {
  const { controlPath } = await locateInstance(options);
  const text = await ask(controlPath, `${JSON.stringify(question)}\n`).catch((cause: unknown) => {
    throw new EnvironmentError("NOT_RUNNING", "Cannot ask for the status: svcproxy userspace does not run here", {
      hint: "Ask in the network namespace and as the user that it runs in",
      cause,
    });
  });
  return parseJson(text);
}

async function ask(path: string, request: string): Promise<string> {
  const socket = connect(path);
  socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy(new Error("no answer")));
  socket.write(request);
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += String(chunk);
  return text;
}

async function listens(server: Server, path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      if ("code" in error && error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    server.listen(path, () => resolve(true));
  });
}

class Claim implements InstanceClaim {
  readonly controlPath: string;
  readonly inherited?: InheritedListeners;
  readonly predecessorPid?: number;
  readonly #place: InstancePlace;
  readonly #handover: Handover | undefined;
  #lock: NamespaceLock | undefined;
  #control: Server | undefined;
  #handsOver = false;

  constructor(place: InstancePlace, { lock, handover }: { lock?: NamespaceLock; handover?: Handover }) {
    this.#place = place;
    this.controlPath = place.controlPath;
    this.#lock = lock;
    lock?.unref();
    this.#handover = handover;
    if (handover === undefined) return;
    this.inherited = handover.listeners;
    this.predecessorPid = handover.pid;
  }

  async serve(service: InstanceService): Promise<void> {
    await this.#handover?.finish();
    this.#lock ??= await this.#waitForLock();
    // Left behind by a kill -9; the lock says that nobody listens there.
    await unlink(this.controlPath).catch(() => {});
    const control = createServer((socket) => this.#answer(socket, service));
    control.maxConnections = MAX_CONTROL_CONNECTIONS;
    await listens(control, this.controlPath);
    await chmod(this.controlPath, 0o600);
    // What it cannot accept for want of descriptors is not answered; nothing else is harmed.
    control.on("error", () => {});
    this.#control = control.unref();
  }

  async #waitForLock(): Promise<NamespaceLock> {
    const { signal } = new AbortController();
    const { lockName: name, directory } = this.#place;
    try {
      const lock = await lockNamespace({
        name,
        directory,
        signal,
        waitMs: LOCK_PATIENCE_MS,
        deed: "has kept its lock",
      });
      lock.unref();
      return lock;
    } catch (error) {
      if (!(error instanceof EnvironmentError) || error.code !== "LOCKED") throw error;
      throw takeOverFailed(`pid ${this.predecessorPid}`, "it does not give its lock back");
    }
  }

  #answer(socket: Socket, service: InstanceService): void {
    let text = "";
    socket.on("error", () => {});
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy());
    const onData = (chunk: Buffer) => {
      text += chunk.toString("utf8");
      if (text.length > MAX_REQUEST_BYTES) socket.destroy();
      if (!text.includes("\n")) return;
      socket.off("data", onData);
      void this.#carryOut(parseJson(text), { socket, service });
    };
    socket.on("data", onData);
  }

  async #carryOut(request: unknown, { socket, service }: { socket: Socket; service: InstanceService }): Promise<void> {
    if (kindOf(request) === "status") socket.end(JSON.stringify(await service.status()));
    else if (kindOf(request) === "served") socket.end(JSON.stringify(service.served()));
    else if (kindOf(request) === "connections") await this.#tellConnections(request, { socket, service });
    else if (kindOf(request) === "take-over" && !this.#handsOver) await this.#handOver(socket, service);
    else socket.destroy();
  }

  async #tellConnections(request: unknown, { socket, service }: { socket: Socket; service: InstanceService }) {
    const question = questionIn(request);
    if (question === undefined) socket.destroy();
    else socket.end(JSON.stringify(await service.proxy.connections(question)));
  }

  async #handOver(socket: Socket, service: InstanceService): Promise<void> {
    const native = loadNativeHandles();
    if (native === undefined) {
      socket.destroy();
      return;
    }
    this.#handsOver = true;
    const successorPid = await sendListeners(native, {
      socket,
      listeners: service.proxy.listeners(),
      release: () => this.release(),
    });
    this.#handsOver = false;
    if (successorPid !== undefined) service.onTakenOver(successorPid);
  }

  async release(): Promise<void> {
    this.#handover?.abandon();
    const [control, lock] = [this.#control, this.#lock];
    this.#control = undefined;
    this.#lock = undefined;
    control?.close();
    await lock?.[Symbol.asyncDispose]();
  }
}

/** So many are told at most, whatever is asked for. */
const MOST_CONNECTIONS = 100_000;

function questionIn(value: unknown): ConnectionQuestion | undefined {
  if (typeof value !== "object" || value === null || !("service" in value) || !("limit" in value)) return undefined;
  const { service, limit } = value;
  if (typeof service !== "string" || typeof limit !== "number") return undefined;
  return { service, limit: Math.min(limit, MOST_CONNECTIONS) };
}

function kindOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "kind" in value ? value.kind : undefined;
}
