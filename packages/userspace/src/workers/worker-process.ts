import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { type ConnectionQuestion, systemCode } from "@svcproxy/host";
import type { HandedListener } from "../service-proxy.ts";
import type { ShareHolder } from "./connection-shares.ts";
import { joinReading } from "./join-reading.ts";
import type { WorkerConnections } from "./worker-connections.ts";
import { type FromWorker, isFromWorker, type ToWorker } from "./worker-messages.ts";
import type { ReadingPart, WorkerReading } from "./worker-reports.ts";

/** A small young generation costs nothing here, and saves a third of the memory of each idle connection. */
const NODE_FLAGS = "--max-semi-space-size=1";

interface PendingReading {
  readonly parts: ReadingPart[];
  done(reading: WorkerReading | undefined): void;
}

/** One worker process as the supervisor sees it. */
export class WorkerProcess implements ShareHolder {
  readonly index: number;
  readonly restarts: number;
  readonly startedAtMs = performance.now();
  state: "starting" | "running" | "gone" = "starting";
  /** What it said last, for when it dies. */
  lastReading: WorkerReading | undefined;
  readonly #started = Promise.withResolvers<boolean>();
  /** Undefined where it could not be started at all. */
  readonly #child: ChildProcess | undefined;
  readonly #readings = new Map<number, PendingReading>();
  readonly #lists = new Map<number, (found: WorkerConnections | undefined) => void>();
  readonly #syncs = new Map<number, () => void>();
  readonly #listening = new Map<string, PromiseWithResolvers<void>>();
  #nextId = 0;

  constructor({
    index,
    restarts,
    program: [program, ...args],
    onMessage,
    onExit,
  }: {
    index: number;
    restarts: number;
    program: readonly [program: string, ...args: string[]];
    onMessage: (from: WorkerProcess, message: FromWorker) => void;
    onExit: (from: WorkerProcess, how: string) => void;
  }) {
    this.index = index;
    this.restarts = restarts;
    const gone = (how: string) => {
      if (this.state === "gone") return;
      this.state = "gone";
      this.#started.resolve(false);
      for (const { done } of this.#readings.values()) done(undefined);
      for (const done of this.#lists.values()) done(undefined);
      for (const done of this.#syncs.values()) done();
      for (const { resolve } of this.#listening.values()) resolve();
      onExit(this, how);
    };
    try {
      this.#child = startChild(program, args);
    } catch (error) {
      // For want of memory; as if it had ended at once, so that it is tried again.
      if (systemCode(error) === undefined) throw error;
      queueMicrotask(() => gone(systemCode(error) ?? "unknown"));
      return;
    }
    const child = this.#child;
    child.on("message", (message: unknown) => {
      if (!isFromWorker(message) || this.#took(message)) return;
      onMessage(this, message);
    });
    // It could not be started, for want of descriptors or processes; else `exit` follows, or the channel is closed already.
    child.on("error", (error) => {
      if (child.pid === undefined) gone(error.message);
    });
    child.once("exit", (code, signal) => gone(signal ?? `exit code ${code}`));
  }

  /** Whether it runs; false where it could not be started, or ended at once. */
  get hasStarted(): Promise<boolean> {
    return this.#started.promise;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Answers to what this object asked. */
  #took(message: FromWorker): boolean {
    if (message.kind === "ready") {
      this.state = "running";
      this.#started.resolve(true);
    } else if (message.kind === "reading") {
      const pending = this.#readings.get(message.id);
      pending?.parts.push(message.part);
      if (message.isLast) this.#endReading(message.id);
    } else if (message.kind === "connections") {
      this.#lists.get(message.id)?.(message.found);
      this.#lists.delete(message.id);
    } else if (message.kind === "synced") {
      this.#syncs.get(message.id)?.();
      this.#syncs.delete(message.id);
    } else if (message.kind === "listening") {
      const waiting = this.#listening.get(message.key);
      this.#listening.delete(message.key);
      if (message.code === undefined) waiting?.resolve();
      else waiting?.reject(Object.assign(new Error(`listen: ${message.code}`), { code: message.code }));
    } else return false;
    return true;
  }

  #endReading(id: number): void {
    const pending = this.#readings.get(id);
    this.#readings.delete(id);
    if (pending === undefined) return;
    this.lastReading = joinReading(pending.parts);
    pending.done(this.lastReading);
  }

  send(message: ToWorker): void {
    if (this.#child?.connected === true) this.#child.send(message);
  }

  askUsed(round: number): void {
    this.send({ kind: "report-use", round });
  }

  giveShare(share: number): void {
    this.send({ kind: "share", share });
  }

  /** Resolves too where the process ends meanwhile. @throws an error with a system error `code` */
  async listen({ key, handle }: HandedListener): Promise<void> {
    if (this.#child?.connected !== true) return;
    const waiting = Promise.withResolvers<void>();
    this.#listening.set(key, waiting);
    sendNativeHandle(this.#child, { kind: "listen", key }, handle);
    await waiting.promise;
  }

  /** Resolves when it has done what it was told so far, or has ended. */
  async settle(): Promise<void> {
    if (this.#child?.connected !== true) return;
    const id = this.#nextId++;
    await new Promise<void>((resolve) => {
      this.#syncs.set(id, resolve);
      this.send({ kind: "sync", id });
    });
  }

  /** Undefined where the process has ended. */
  async read(): Promise<WorkerReading | undefined> {
    if (this.#child?.connected !== true) return undefined;
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#readings.set(id, { parts: [], done: resolve });
      this.send({ kind: "read", id });
    });
  }

  /** Undefined where the process has ended. */
  async connections(question: ConnectionQuestion): Promise<WorkerConnections | undefined> {
    if (this.#child?.connected !== true) return undefined;
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#lists.set(id, resolve);
      this.send({ kind: "list", id, question });
    });
  }

  async end(): Promise<void> {
    const child = this.#child;
    if (this.state === "gone" || child === undefined) return;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    this.send({ kind: "close" });
    const killer = setTimeout(() => child.kill("SIGKILL"), 2_000);
    await exited;
    clearTimeout(killer);
  }
}

/** By the environment, because a single executable takes every argument for the program's own. @throws an error with a system error `code` */
function startChild(program: string, args: readonly string[]): ChildProcess {
  const { NODE_OPTIONS: inherited = "" } = process.env;
  return spawn(program, args, {
    env: { ...process.env, NODE_OPTIONS: `${inherited} ${NODE_FLAGS}`.trim() },
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
}

/** `send` takes native handles (`net.Native`), which its type does not say. */
function sendNativeHandle(child: ChildProcess, message: ToWorker, handle: HandedListener["handle"]): void {
  Reflect.apply(child.send, child, [message, handle]);
}
