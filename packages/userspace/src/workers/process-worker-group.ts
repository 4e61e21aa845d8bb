import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import type { AccessRecord, HandedListener, ProxyOptions } from "../contract.ts";
import type { FailureLog } from "../failure-log.ts";
import { isUdpHandle } from "../plane/native-handles.ts";
import { Ledger } from "../policy/ledger.ts";
import { mergeEndpoints, mergeFrontendCounters } from "./merge-readings.ts";
import { SlotPools } from "./slot-pools.ts";
import type { WorkerPlan } from "./worker.ts";
import type { GroupReading, GroupReadings, RetiredReading, WorkerGroup } from "./worker-group.ts";
import type { AffinityMove, FromWorker } from "./worker-messages.ts";
import { WorkerProcess } from "./worker-process.ts";

/** A worker that dies younger than this is replaced only after this long: it may not be able to live. */
const TOO_YOUNG_MS = 1_000;
const LEDGER_SWEEP_MS = 10_000;

export interface ProcessGroupOptions {
  readonly options: ProxyOptions;
  readonly logger: Logger;
  readonly failures: FailureLog;
  readonly workerProgram?: readonly [program: string, ...args: string[]];
  readonly onConnectionEnd?: (record: AccessRecord) => void;
}

/**
 * Several processes that accept on the same sockets. The supervisor keeps each socket open as well, so that a worker's death
 * takes only its own connections along, and keeps the books of what holds for all workers.
 */
export class ProcessWorkerGroup implements WorkerGroup {
  readonly #surroundings: ProcessGroupOptions;
  readonly #workers: WorkerProcess[] = [];
  readonly #listeners = new Map<string, HandedListener>();
  /** Which worker owns a UDP listener; it stays with it when the plan changes. */
  readonly #owners = new Map<string, number>();
  readonly #ledger: Ledger;
  readonly #slots: SlotPools<WorkerProcess>;
  readonly #ledgerSweep: NodeJS.Timeout;
  /** What workers that died had counted: counters never go back. */
  #retired: RetiredReading = { frontends: [], endpoints: [] };
  readonly #drained = new Set<WorkerProcess>();
  #down: readonly string[] = [];
  #plan: WorkerPlan | undefined;
  #state: "running" | "draining" | "closed" = "running";
  #whenDrained: (() => void) | undefined;

  constructor(surroundings: ProcessGroupOptions) {
    this.#surroundings = surroundings;
    const { options } = surroundings;
    // Clients are counted by slots; the ledger is for affinity.
    this.#ledger = new Ledger({ maxPerClient: 0 });
    this.#ledgerSweep = setInterval(() => this.#ledger.sweep(performance.now()), LEDGER_SWEEP_MS);
    this.#slots = new SlotPools({
      sizes: options,
      callBack: (worker, pool) => worker.send({ kind: "give-back", pool }),
      grant: (worker, loan) => worker.send({ kind: "slots", ...loan }),
    });
    for (let index = 0; index < options.workers; index++) this.#start(index, 0);
  }

  #start(index: number, restarts: number): void {
    const worker = new WorkerProcess({
      index,
      restarts,
      program: this.#surroundings.workerProgram ?? ownWorkerProgram(),
      onMessage: (from, message) => this.#onMessage(from, message),
      onExit: (from, how) => this.#onExit(from, how),
    });
    this.#workers[index] = worker;
    const { options, onConnectionEnd } = this.#surroundings;
    worker.send({ kind: "start", options, wantsRecords: onConnectionEnd !== undefined });
    if (this.#plan !== undefined) this.#sendPlan(worker, this.#plan);
    worker.send({ kind: "down", endpoints: this.#down });
    for (const listener of this.#listeners.values()) {
      if (this.#isFor(worker, listener))
        void worker.listen(listener).catch((error: unknown) => this.#cannotListen(error));
    }
  }

  #cannotListen(error: unknown): void {
    this.#surroundings.logger.error({ err: error }, "a new worker cannot listen");
  }

  #onExit(worker: WorkerProcess, how: string): void {
    this.#takeBack(worker);
    if (this.#state === "closed") return;
    this.#drained.add(worker);
    this.#checkDrained();
    const { pid, index, restarts } = worker;
    this.#surroundings.logger.error({ worker: index, workerPid: pid, how }, "a worker died; its connections are lost");
    if (this.#state === "draining") return;
    const young = performance.now() - worker.startedAtMs < TOO_YOUNG_MS;
    setTimeout(
      () => {
        if (this.#state === "running") this.#start(index, restarts + 1);
      },
      young ? TOO_YOUNG_MS : 0,
    );
  }

  #takeBack(worker: WorkerProcess): void {
    this.#slots.gone(worker);
    if (worker.lastReading !== undefined) this.#retired = retire([this.#retired, worker.lastReading]);
  }

  #onMessage(from: WorkerProcess, message: FromWorker): void {
    switch (message.kind) {
      case "dial-failed":
        this.#surroundings.failures.dialFailed(message.report);
        if (!message.report.local) this.#tellOthers(from, message.report.endpoint);
        break;
      case "ended":
        for (const record of message.records) this.#surroundings.onConnectionEnd?.(record);
        break;
      case "admit":
        this.#admit(from, message);
        break;
      case "move":
        this.#move(message.client, message.choice);
        break;
      case "want-slots":
        this.#slots.want(message.pool, from);
        break;
      case "gave-back":
        this.#slots.gaveBack(message.pool, { worker: from, slots: message.slots });
        break;
      case "drained":
        this.#drained.add(from);
        this.#checkDrained();
        break;
      case "ready":
      case "synced":
      case "reading":
      case "listening":
        break;
    }
  }

  #tellOthers(from: WorkerProcess, endpoint: string): void {
    for (const worker of this.#workers) if (worker !== from) worker.send({ kind: "failed", endpoint });
  }

  #admit(from: WorkerProcess, { id, request }: Extract<FromWorker, { kind: "admit" }>): void {
    const admission = this.#ledger.admit(request, performance.now());
    from.send({ kind: "admission", id, admission });
  }

  #move(client: string, choice: AffinityMove): void {
    this.#ledger.move(client, choice, performance.now());
  }

  apply(plan: WorkerPlan): void {
    this.#plan = plan;
    this.#assignOwners(plan);
    for (const worker of this.#workers) this.#sendPlan(worker, plan);
  }

  /** A UDP frontend has one owner, because its sessions live in one process; those that share affinity share the owner. */
  #assignOwners({ frontends }: WorkerPlan): void {
    const udp = new Map(frontends.filter(({ protocol }) => protocol === "udp").map((spec) => [spec.key, spec]));
    for (const key of this.#owners.keys()) if (!udp.has(key)) this.#owners.delete(key);
    for (const [key, { affinityKey }] of udp) {
      if (!this.#owners.has(key)) this.#owners.set(key, ownerOf(affinityKey, this.#surroundings.options.workers));
    }
  }

  /** Each worker may have sessions by its share of the UDP frontends, so that the bound holds for all of them together. */
  #sendPlan(worker: WorkerProcess, plan: WorkerPlan): void {
    const { maxUdpSessions } = this.#surroundings.options;
    const owned = [...this.#owners.values()].filter((index) => index === worker.index).length;
    const share = Math.max(1, Math.floor((maxUdpSessions * owned) / Math.max(1, this.#owners.size)));
    worker.send({ kind: "plan", plan: { ...plan, maxUdpSessions: share } });
  }

  /** TCP is accepted by all workers. */
  #isFor(worker: WorkerProcess, { key, handle }: HandedListener): boolean {
    return !isUdpHandle(handle) || worker.index === this.#owners.get(key);
  }

  async listen(listener: HandedListener): Promise<void> {
    const workers = this.#workers.filter((worker) => worker.state !== "gone" && this.#isFor(worker, listener));
    this.#listeners.set(listener.key, listener);
    try {
      await Promise.all(workers.map((worker) => worker.listen(listener)));
    } catch (error) {
      this.unlisten(listener.key);
      throw error;
    }
  }

  unlisten(key: string): void {
    const listener = this.#listeners.get(key);
    this.#listeners.delete(key);
    for (const worker of this.#workers) worker.send({ kind: "unlisten", key });
    listener?.handle.close();
  }

  setDown(keys: ReadonlySet<string>): void {
    this.#down = [...keys];
    for (const worker of this.#workers) worker.send({ kind: "down", endpoints: this.#down });
  }

  async settle(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.settle()));
  }

  async read(): Promise<GroupReadings> {
    const workers = await Promise.all(
      this.#workers.map(async (worker): Promise<GroupReading[]> => {
        const reading = await worker.read();
        const { index, restarts, state } = worker;
        if (reading === undefined || state === "gone") return [];
        return [{ ...reading, index, restarts, state }];
      }),
    );
    return { workers: workers.flat(), retired: [this.#retired] };
  }

  async drain(): Promise<void> {
    this.#state = "draining";
    this.#closeListeners();
    const drained = new Promise<void>((resolve) => {
      this.#whenDrained = resolve;
    });
    for (const worker of this.#workers) worker.send({ kind: "drain" });
    this.#checkDrained();
    await drained;
  }

  #closeListeners(): void {
    for (const { handle } of this.#listeners.values()) handle.close();
    this.#listeners.clear();
  }

  #checkDrained(): void {
    if (this.#workers.every((worker) => this.#drained.has(worker) || worker.state === "gone")) this.#whenDrained?.();
  }

  async close(): Promise<void> {
    this.#state = "closed";
    clearInterval(this.#ledgerSweep);
    this.#closeListeners();
    await Promise.all(this.#workers.map((worker) => worker.end()));
  }
}

/** The same worker for a key as long as their number stays: FNV-1a. */
export function ownerOf(key: string, workers: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0) % workers;
}

/** What dead workers had counted, without the connections that died with them. */
function retire(readings: readonly RetiredReading[]): RetiredReading {
  return {
    frontends: [...mergeFrontendCounters(readings)].map(([key, counters]) => ({
      key,
      counters: { ...counters, active: 0 },
    })),
    endpoints: mergeEndpoints(readings).map((endpoint) => ({
      ...endpoint,
      state: "up",
      ejectedForMs: 0,
      counters: { ...endpoint.counters, active: 0 },
    })),
  };
}

/** From the sources of this package. */
function ownWorkerProgram(): readonly [string, string] {
  return [process.execPath, fileURLToPath(new URL("worker-main.ts", import.meta.url))];
}
