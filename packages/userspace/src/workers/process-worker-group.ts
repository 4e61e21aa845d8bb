import process from "node:process";
import { fileURLToPath } from "node:url";
import { type ConnectionQuestion, repeat } from "@svcproxy/host";
import type { Logger } from "pino";
import type { AccessRecord } from "../access-record.ts";
import type { FailureLog } from "../failure-log.ts";
import { isUdpHandle } from "../plane/native-handles.ts";
import type { ClientFacts } from "../policy/client-classifier.ts";
import { type AdmissionRequest, LocalLimiter } from "../policy/connection-limiter.ts";
import type { FrontendSpec, ListedEndpoint } from "../policy/frontend-spec.ts";
import type { ProxyOptions } from "../proxy-options.ts";
import type { HandedListener } from "../service-proxy.ts";
import { ConnectionShares } from "./connection-shares.ts";
import { mergeEndpoints, mergeFrontendCounters } from "./merge-readings.ts";
import { changeSlices, type WorkerChange } from "./worker-change.ts";
import { joinConnections, type WorkerConnections } from "./worker-connections.ts";
import type { GroupReading, GroupReadings, RetiredReading, WorkerGroup } from "./worker-group.ts";
import type { FromWorker } from "./worker-messages.ts";
import { WorkerProcess } from "./worker-process.ts";

/** A worker that dies younger than this is replaced only after this long: it may not be able to live. */
const TOO_YOUNG_MS = 1_000;
const LIMITER_SWEEP_MS = 10_000;

export interface ProcessGroupOptions {
  readonly options: ProxyOptions;
  readonly logger: Logger;
  readonly failures: FailureLog;
  /** See `WorkerReports`. */
  readonly onRefused: (frontend: string) => void;
  readonly workerProgram?: readonly [program: string, ...args: string[]];
  readonly onConnectionEnd?: (record: AccessRecord) => void;
}

/**
 * Several processes that accept on the same sockets. The supervisor keeps each socket open as well, so that a worker's death
 * takes only its own connections along, and counts what holds for all workers.
 */
export class ProcessWorkerGroup implements WorkerGroup {
  readonly #surroundings: ProcessGroupOptions;
  readonly #workers: WorkerProcess[] = [];
  readonly #listeners = new Map<string, HandedListener>();
  /** What is served, for workers that are started later. */
  readonly #endpoints = new Map<string, ListedEndpoint>();
  readonly #frontends = new Map<string, FrontendSpec>();
  #clients: ClientFacts | undefined;
  /** Which worker owns a UDP listener; it stays with it when the plan changes. */
  readonly #owners = new Map<string, number>();
  readonly #limiter: LocalLimiter;
  /** The clients of the connections that each worker has, as far as they count. */
  readonly #admitted = new Map<WorkerProcess, Map<string, number>>();
  readonly #shares: ConnectionShares<WorkerProcess>;
  readonly #sweep: NodeJS.Timeout;
  /** What workers that died had counted: counters never go back. */
  #retired: RetiredReading = { frontends: [], endpoints: [] };
  readonly #drained = new Set<WorkerProcess>();
  #down: readonly string[] = [];
  #state: "running" | "draining" | "closed" = "running";
  #whenDrained: (() => void) | undefined;

  constructor(surroundings: ProcessGroupOptions) {
    this.#surroundings = surroundings;
    const { options } = surroundings;
    this.#limiter = new LocalLimiter(options, () => performance.now());
    this.#shares = new ConnectionShares(options.maxConnections);
    this.#sweep = repeat(() => this.#limiter.sweep(), {
      everyMs: LIMITER_SWEEP_MS,
      onFault: (error) => this.#fault(error),
    });
    for (let index = 0; index < options.workers; index++) this.#start(index, 0);
  }

  /** Whether this machine can start workers. */
  async hasStarted(): Promise<boolean> {
    return (await this.#workers[0]?.hasStarted) ?? false;
  }

  #fault(error: unknown): void {
    this.#surroundings.logger.error({ err: error }, "this is a bug in svcproxy, and was passed over");
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
    this.#admitted.set(worker, new Map());
    this.#shares.add(worker);
    const { options, onConnectionEnd } = this.#surroundings;
    worker.send({ kind: "start", options, wantsRecords: onConnectionEnd !== undefined });
    for (const change of changeSlices(this.#everything(worker))) worker.send({ kind: "change", change });
    worker.send({ kind: "down", endpoints: this.#down });
    for (const listener of this.#listeners.values()) {
      if (this.#isFor(worker, listener))
        void worker.listen(listener).catch((error: unknown) => this.#cannotListen(error));
    }
  }

  #everything(worker: WorkerProcess): WorkerChange {
    return {
      endpoints: [...this.#endpoints.values()],
      frontends: [...this.#frontends.values()],
      ...(this.#clients === undefined ? {} : { clients: this.#clients }),
      maxUdpSessions: this.#udpSessionsOf(worker),
    };
  }

  #cannotListen(error: unknown): void {
    this.#surroundings.logger.error({ err: error }, "a new worker cannot listen");
  }

  #onExit(worker: WorkerProcess, how: string): void {
    this.#retire(worker);
    if (this.#state === "closed") return;
    this.#drained.add(worker);
    this.#checkDrained();
    const { pid, index, restarts } = worker;
    const text = pid === 0 ? "a worker cannot be started" : "a worker died; its connections are lost";
    this.#surroundings.logger.error({ worker: index, workerPid: pid, how }, text);
    if (this.#state === "draining") return;
    const young = performance.now() - worker.startedAtMs < TOO_YOUNG_MS;
    this.#startLater(index, { restarts: restarts + 1, afterMs: young ? TOO_YOUNG_MS : 0 });
  }

  #startLater(index: number, { restarts, afterMs }: { readonly restarts: number; readonly afterMs: number }): void {
    setTimeout(() => {
      if (this.#state === "running") this.#start(index, restarts);
    }, afterMs);
  }

  #retire(worker: WorkerProcess): void {
    for (const [client, count] of this.#admitted.get(worker) ?? []) {
      for (let left = 0; left < count; left++) this.#limiter.leave(client);
    }
    this.#admitted.delete(worker);
    this.#shares.remove(worker);
    if (worker.lastReading !== undefined) this.#retired = retire([this.#retired, worker.lastReading]);
  }

  #onMessage(from: WorkerProcess, message: FromWorker): void {
    switch (message.kind) {
      case "dial-failed":
        this.#surroundings.failures.dialFailed(message.report);
        if (!message.report.local) this.#tellOthers(from, message.report.endpoint);
        break;
      case "over-limit":
        this.#surroundings.failures.overLimit(message.report);
        break;
      case "refused":
        this.#surroundings.onRefused(message.frontend);
        break;
      case "ended":
        for (const record of message.records) this.#surroundings.onConnectionEnd?.(record);
        break;
      case "limiter":
        for (const client of message.left) this.#left(from, client);
        if (message.requests.length > 0) this.#admit(from, message.requests);
        break;
      case "share-wanted":
        this.#shares.wanted();
        break;
      case "share-used":
        this.#shares.reported(from, message);
        break;
      case "move":
        this.#limiter.move(message.client, message.choice);
        break;
      case "fault":
        this.#fault(message.stack);
        break;
      case "drained":
        this.#drained.add(from);
        this.#checkDrained();
        break;
      case "ready":
      case "synced":
      case "reading":
      case "connections":
      case "listening":
        break;
    }
  }

  #tellOthers(from: WorkerProcess, endpoint: string): void {
    for (const worker of this.#workers) if (worker !== from) worker.send({ kind: "failed", endpoint });
  }

  #admit(from: WorkerProcess, requests: readonly AdmissionRequest[]): void {
    const clients = this.#admitted.get(from);
    const admissions = requests.map((request) => {
      const admission = this.#limiter.decide(request);
      if (request.counted && admission.kind === "admitted") {
        clients?.set(request.client, (clients.get(request.client) ?? 0) + 1);
      }
      return admission;
    });
    from.send({ kind: "admissions", admissions });
  }

  #left(from: WorkerProcess, client: string): void {
    const clients = this.#admitted.get(from);
    const count = clients?.get(client) ?? 0;
    if (clients === undefined || count === 0) return;
    if (count === 1) clients.delete(client);
    else clients.set(client, count - 1);
    this.#limiter.leave(client);
  }

  apply(change: WorkerChange): void {
    const { endpoints = [], frontends = [], goneFrontends = [], goneEndpoints = [], clients } = change;
    for (const endpoint of endpoints) this.#endpoints.set(endpoint.key, endpoint);
    for (const spec of frontends) this.#frontends.set(spec.key, spec);
    for (const key of goneFrontends) this.#frontends.delete(key);
    for (const key of goneEndpoints) this.#endpoints.delete(key);
    this.#clients = clients ?? this.#clients;
    this.#assignOwners(change);
    for (const worker of this.#workers) {
      const { otherListeners: _, ...rest } = change;
      worker.send({ kind: "change", change: { ...rest, maxUdpSessions: this.#udpSessionsOf(worker) } });
    }
  }

  /** A UDP frontend has one owner, because its sessions live in one process; those that share affinity share the owner. */
  #assignOwners({ frontends = [], goneFrontends = [] }: WorkerChange): void {
    for (const key of goneFrontends) this.#owners.delete(key);
    for (const { key, protocol, affinityKey } of frontends) {
      if (protocol !== "udp" || this.#owners.has(key)) continue;
      this.#owners.set(key, ownerOf(affinityKey, this.#surroundings.options.workers));
    }
  }

  /** Each worker may have sessions by its share of the UDP frontends, so that the bound holds for all of them together. */
  #udpSessionsOf(worker: WorkerProcess): number {
    const { maxUdpSessions } = this.#surroundings.options;
    const owned = [...this.#owners.values()].filter((index) => index === worker.index).length;
    return Math.max(1, Math.floor((maxUdpSessions * owned) / Math.max(1, this.#owners.size)));
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

  async connections(question: ConnectionQuestion): Promise<WorkerConnections> {
    const found = await Promise.all(this.#workers.map((worker) => worker.connections(question)));
    return joinConnections(
      found.filter((ofWorker) => ofWorker !== undefined),
      question,
    );
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
    clearInterval(this.#sweep);
    this.#shares.close();
    this.#closeListeners();
    await Promise.all(this.#workers.map((worker) => worker.end()));
  }
}

/** The same worker for a key as long as their number stays: FNV-1a. */
function ownerOf(key: string, workers: number): number {
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
