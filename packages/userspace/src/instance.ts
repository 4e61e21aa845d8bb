import { chmod, stat, unlink } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import process from "node:process";
import {
  type ConnectionQuestion,
  findLockHolder,
  lockNamespace,
  type NamespaceLock,
  tryLockNamespace,
} from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import { askSocket, listens, readQuestion, sendAnswer } from "./instance/control-socket.ts";
import type { DrainOrder, Generations } from "./instance/generation.ts";
import { drainGeneration, readGenerations, serveGeneration } from "./instance/generations.ts";
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
/** A successor reads the topology and opens what is new. */
const RELOAD_TIMEOUT_MS = 120_000;
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
  | { readonly kind: "status" | "served" | "reload" }
  | ({ readonly kind: "connections" } & ConnectionQuestion);

/** What the running instance says of itself, of what it serves, or of who is connected. @throws EnvironmentError NOT_RUNNING */
export async function queryInstance(
  options: InstanceOptions,
  question: InstanceQuestion = { kind: "status" },
): Promise<unknown> {
  const { controlPath } = await locateInstance(options);
  const timeoutMs = question.kind === "reload" ? RELOAD_TIMEOUT_MS : ANSWER_TIMEOUT_MS;
  const text = await askSocket(controlPath, { question, timeoutMs }).catch((cause: unknown) => {
    throw new EnvironmentError("NOT_RUNNING", "Cannot ask for the status: svcproxy userspace does not run here", {
      hint: "Ask in the network namespace and as the user that it runs in",
      cause,
    });
  });
  return parseJson(text);
}

class Claim implements InstanceClaim {
  readonly controlPath: string;
  readonly inherited?: InheritedListeners;
  readonly predecessorPid?: number;
  readonly #place: InstancePlace;
  readonly #handover: Handover | undefined;
  #lock: NamespaceLock | undefined;
  #control: Server | undefined;
  #generation: Server | undefined;
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
    readQuestion(socket, (question) => {
      // A status that cannot be made is not answered; nothing else is harmed.
      this.#carryOut(question, { socket, service }).catch(() => socket.destroy());
    });
  }

  async #carryOut(request: unknown, { socket, service }: { socket: Socket; service: InstanceService }): Promise<void> {
    const kind = kindOf(request);
    if (kind === "status") sendAnswer(socket, await service.status());
    else if (kind === "served") sendAnswer(socket, service.served());
    else if (kind === "connections") await this.#tellConnections(request, { socket, service });
    else if (kind === "reload") sendAnswer(socket, await reload(service));
    else if (kind === "take-over" && !this.#handsOver) await this.#handOver(socket, service);
    else socket.destroy();
  }

  async #tellConnections(request: unknown, { socket, service }: { socket: Socket; service: InstanceService }) {
    const question = questionIn(request);
    if (question === undefined) socket.destroy();
    else sendAnswer(socket, await service.proxy.connections(question));
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
    if (successorPid === undefined) return;
    // Where it cannot be asked, its successors wait for its end.
    this.#generation = await serveGeneration(this.#place, service.generation).catch(() => undefined);
    service.onTakenOver(successorPid);
  }

  generations(): Promise<Generations> {
    return readGenerations(this.#place);
  }

  drainGeneration(order: DrainOrder): Promise<void> {
    return drainGeneration(this.#place, order);
  }

  async release(): Promise<void> {
    this.#handover?.abandon();
    const [control, lock] = [this.#control, this.#lock];
    this.#control = undefined;
    this.#lock = undefined;
    control?.close();
    this.#generation?.close();
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

async function reload({ reload: start }: InstanceService): Promise<ReloadAnswer> {
  if (start === undefined) return { error: "it was not started by a command that could be repeated" };
  try {
    await start();
    return {};
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

interface ReloadAnswer {
  /** Absent: the successor serves. */
  readonly error?: string;
}

/**
 * Has the running instance start a successor that takes over.
 *
 * @throws EnvironmentError NOT_RUNNING; TAKE_OVER_FAILED, then the old one goes on
 */
export async function reloadInstance(options: InstanceOptions): Promise<void> {
  const answer = await queryInstance(options, { kind: "reload" });
  if (typeof answer === "object" && answer !== null && !("error" in answer)) return;
  const reason =
    typeof answer === "object" && answer !== null && "error" in answer ? String(answer.error) : "no answer";
  throw new EnvironmentError("TAKE_OVER_FAILED", `Cannot reload: ${reason}; the old one goes on`);
}

function kindOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "kind" in value ? value.kind : undefined;
}
