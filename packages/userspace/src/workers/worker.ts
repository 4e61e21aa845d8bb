import { performance } from "node:perf_hooks";
import process from "node:process";
import { type ConnectionQuestion, repeat } from "@svcproxy/host";
import type { ByteStream, DataPlane, Listener } from "../plane/byte-stream.ts";
import { DescriptorBudget } from "../plane/descriptor-budget.ts";
import type { UdpHandle } from "../plane/native-handles.ts";
import { ClientClassifier } from "../policy/client-classifier.ts";
import type { ConnectionLimiter } from "../policy/connection-limiter.ts";
import type { DialFailure } from "../policy/dial-failure.ts";
import { EndpointTable } from "../policy/endpoint-table.ts";
import type { FrontendSpec } from "../policy/frontend-spec.ts";
import { WorkerFrontend } from "../policy/worker-frontend.ts";
import type { ProxyOptions } from "../proxy-options.ts";
import type { FrontendPlace } from "../proxy-status.ts";
import type { TcpCarrier } from "../tcp/tcp-carrier.ts";
import { DESCRIPTORS_PER_CONNECTION, TcpConnection } from "../tcp/tcp-connection.ts";
import { UdpCarrier } from "../udp/udp-carrier.ts";
import type { UdpSession } from "../udp/udp-session.ts";
import { tcpRecord, udpRecord } from "./access-record.ts";
import { inParts } from "./in-parts.ts";
import { joinReading } from "./join-reading.ts";
import { LoopMeter } from "./loop-meter.ts";
import type { WorkerChange } from "./worker-change.ts";
import { connectionsOf, type WorkerConnections } from "./worker-connections.ts";
import type { OverLimitReport, ReadingPart, WorkerReading, WorkerReports } from "./worker-reports.ts";

/** What a limit turns away is reported once in this time: a flood must not cost a report each. */
const OVER_LIMIT_QUIET_MS = 10_000;
/** The clock of dials and of everything that is remembered by `coarseNowMs`. */
const TICK_MS = 100;
/** Connections are looked over this often, or four times within the shortest timeout. */
const LONGEST_SWEEP_MS = 1_000;

export interface WorkerSurroundings {
  readonly options: ProxyOptions;
  readonly plane: DataPlane;
  readonly limiter: ConnectionLimiter;
  readonly reports: WorkerReports;
  readonly random?: () => number;
  /** Listeners that this process has already and that `listen…` will count. */
  readonly inheritedListeners?: number;
}

/** Carries the connections of one process: accepts on the listeners that it is given, and follows the plan. */
export class Worker implements TcpCarrier<TcpConnection> {
  readonly options: ProxyOptions;
  readonly plane: DataPlane;
  readonly limiter: ConnectionLimiter;
  readonly budget = new DescriptorBudget();
  readonly random: () => number;
  readonly limitsConnections: boolean;
  readonly alwaysAsksForClient: boolean;
  readonly waiting = new Set<TcpConnection>();
  readonly dialling = new Set<TcpConnection>();
  readonly open = new Set<TcpConnection>();
  classifier = new ClientClassifier({ hostAddresses: [], ownAddresses: [], podCidrs: [] });
  coarseNowMs = performance.now();
  readonly #udp: UdpCarrier | undefined;
  readonly #reports: WorkerReports;
  readonly #frontends = new Map<string, WorkerFrontend>();
  /** Out of the plan, with connections to endpoints that stay, or that drain. */
  readonly #left = new Map<string, WorkerFrontend>();
  readonly #endpoints = new EndpointTable();
  readonly #listeners = new Map<string, Listener>();
  readonly #loop = new LoopMeter();
  readonly #ticker: NodeJS.Timeout;
  readonly #sweepEveryMs: number;
  readonly #inheritedListeners: number;
  readonly #overLimitAtMs = new Map<OverLimitReport["limit"], number>();
  #sweptAtMs = 0;
  #whenIdle: (() => void) | undefined;

  constructor({ options, plane, limiter, reports, random = Math.random, inheritedListeners = 0 }: WorkerSurroundings) {
    this.options = options;
    this.#inheritedListeners = inheritedListeners;
    this.budget.setOthers(-inheritedListeners);
    this.plane = plane;
    this.limiter = limiter;
    this.random = random;
    this.#reports = reports;
    this.limitsConnections = options.maxConnections > 0 || options.maxPerClient > 0;
    this.alwaysAsksForClient = this.limitsConnections || reports.ended !== undefined;
    this.#udp =
      plane.datagrams &&
      new UdpCarrier({
        datagrams: plane.datagrams,
        options,
        budget: this.budget,
        random,
        dialFailed: (failure) => this.dialFailed(failure),
        sessionEnded: (session) => this.#sessionEnded(session),
        allRefused: ({ spec }) => reports.refused(spec.key),
        noRoom: (frontend) => this.#overLimit(frontend, "max-connections"),
      });
    this.#sweepEveryMs = sweepInterval(options);
    this.#ticker = repeat(() => this.#tick(), { everyMs: TICK_MS, onFault: (error) => reports.fault(error) });
  }

  apply(change: WorkerChange): void {
    const { endpoints = [], frontends = [], goneFrontends = [], goneEndpoints = [] } = change;
    const { clients, maxUdpSessions, otherListeners } = change;
    for (const endpoint of endpoints) this.#endpoints.list(endpoint);
    for (const spec of frontends) this.#serve(spec);
    for (const key of goneFrontends) this.#leave(key);
    const nowMs = performance.now();
    const { onRemove, drainTimeoutMs } = this.options;
    const removedAtMs = onRemove === "reset" ? nowMs : nowMs + drainTimeoutMs;
    for (const key of goneEndpoints) this.#endpoints.unlist(key, removedAtMs);
    if (onRemove === "reset" && goneEndpoints.length > 0) this.#sweep(nowMs);
    if (clients !== undefined) {
      this.classifier = new ClientClassifier(clients);
      this.#udp?.setClassifier(this.classifier);
    }
    if (maxUdpSessions !== undefined) this.#udp?.setMaxSessions(maxUdpSessions);
    if (otherListeners !== undefined) this.budget.setOthers(otherListeners - this.#inheritedListeners);
  }

  #serve(spec: FrontendSpec): void {
    const known = this.#frontends.get(spec.key) ?? this.#left.get(spec.key);
    this.#left.delete(spec.key);
    if (known === undefined) this.#frontends.set(spec.key, new WorkerFrontend(spec, this.#endpoints));
    else {
      known.update(spec, this.#endpoints);
      this.#frontends.set(spec.key, known);
      this.#udp?.endOrphans(spec.key);
    }
  }

  #leave(key: string): void {
    const frontend = this.#frontends.get(key);
    if (frontend === undefined) return;
    this.unlisten(key);
    this.#frontends.delete(key);
    if (frontend.counters.active > 0) this.#left.set(key, frontend);
  }

  /** @throws an error with a system error `code` */
  listenTcp(key: string, listener: Listener): void {
    const frontend = this.#frontends.get(key);
    if (frontend === undefined || this.#listeners.has(key)) {
      listener.close();
      return;
    }
    listener.accept(this.options.backlog, (stream) => this.#accept(frontend, stream));
    this.#listeners.set(key, listener);
    this.budget.listens("tcp");
  }

  #accept(frontend: WorkerFrontend, stream: ByteStream): void {
    new TcpConnection(stream, { frontend, carrier: this }).start();
  }

  listenUdp(key: string, handle: UdpHandle): void {
    const frontend = this.#frontends.get(key);
    if (frontend === undefined) {
      handle.close();
      return;
    }
    this.budget.listens("udp");
    this.#udp?.listen(frontend, { handle, classifier: this.classifier });
  }

  /** Stops accepting; connections stay. UDP sessions end where the frontend has left the plan. */
  unlisten(key: string, { endSessions = true }: { endSessions?: boolean } = {}): void {
    const listener = this.#listeners.get(key);
    if (listener !== undefined) {
      this.#listeners.delete(key);
      listener.close();
      this.budget.unlistens("tcp");
    }
    const udp = this.#udp?.unlisten(key);
    if (udp === undefined) return;
    this.budget.unlistens("udp");
    if (endSessions) udp.endSessions("removed");
  }

  /** What the active checks found: keys of endpoints that do not answer. */
  setDown(keys: ReadonlySet<string>): void {
    for (const endpoint of this.#endpoints.values()) endpoint.down = keys.has(endpoint.target.key);
  }

  /** Another worker could not reach it. */
  endpointFailed(key: string): void {
    this.#endpoints.get(key)?.failed(performance.now());
  }

  dialFailed({ frontend, endpoint, code, local }: DialFailure): void {
    const { key, service } = frontend.spec;
    this.#reports.dialFailed({ frontend: key, service, endpoint: endpoint.target.key, code, local });
  }

  #overLimit({ spec }: WorkerFrontend, limit: OverLimitReport["limit"]): void {
    const lastMs = this.#overLimitAtMs.get(limit) ?? Number.NEGATIVE_INFINITY;
    if (this.coarseNowMs - lastMs < OVER_LIMIT_QUIET_MS) return;
    this.#overLimitAtMs.set(limit, this.coarseNowMs);
    this.#reports.overLimit({ frontend: spec.key, service: spec.service, limit });
  }

  ended(connection: TcpConnection): void {
    const { reason, frontend } = connection;
    if (reason === "max-connections" || reason === "max-per-client") this.#overLimit(frontend, reason);
    this.#reports.ended?.(tcpRecord(connection));
    this.#checkIdle();
  }

  #sessionEnded(session: UdpSession): void {
    this.#reports.ended?.(udpRecord(session));
    this.#checkIdle();
  }

  #tick(): void {
    const nowMs = performance.now();
    this.coarseNowMs = nowMs;
    if (this.#udp !== undefined) this.#udp.coarseNowMs = nowMs;
    for (const connection of this.dialling) connection.checkDial(nowMs);
    if (nowMs - this.#sweptAtMs >= this.#sweepEveryMs) this.#sweep(nowMs);
  }

  #sweep(nowMs: number): void {
    this.#sweptAtMs = nowMs;
    for (const connection of this.open) connection.check(nowMs);
    this.#udp?.sweep(nowMs);
    this.#endpoints.sweep();
    for (const [key, { counters }] of this.#left) if (counters.active === 0) this.#left.delete(key);
    this.limiter.sweep();
  }

  read(): WorkerReading {
    return joinReading([...this.readParts()]);
  }

  /** Connections may be carried, and plans applied, between two parts. */
  *readParts(): Generator<ReadingPart> {
    const connections = this.#connectionCount();
    const facts = {
      pid: process.pid,
      connections,
      udpSessions: this.#udpSessionCount(),
      residentBytes: process.memoryUsage.rss(),
      loop: this.#loop.read(),
      openFiles: this.budget.limit,
      connectionLimit: connections + Math.max(0, Math.floor(this.budget.freeFor("tcp") / DESCRIPTORS_PER_CONNECTION)),
    };
    const frontends = [
      ...[...this.#frontends.values()].map(({ spec, counters }) => ({ key: spec.key, counters })),
      ...[...this.#left.values()].map(({ spec, counters }) => ({ key: spec.key, counters, left: placeOf(spec) })),
    ];
    const endpoints = [...this.#endpoints.values()];
    yield { kind: "facts", facts };
    for (const part of inParts(frontends)) yield { kind: "frontends", frontends: part };
    for (const part of inParts(endpoints)) {
      const nowMs = performance.now();
      yield { kind: "endpoints", endpoints: part.map((endpoint) => endpoint.status(nowMs)) };
    }
  }

  connections(question: ConnectionQuestion): WorkerConnections {
    const tcp = [...this.open, ...this.dialling, ...this.waiting];
    return connectionsOf({ tcp, udp: this.#udp?.sessions() ?? [] }, question);
  }

  #connectionCount(): number {
    return this.waiting.size + this.dialling.size + this.open.size;
  }

  #udpSessionCount(): number {
    return this.#udp?.sessionCount ?? 0;
  }

  /** Stops accepting; resolves when the last connection and session has ended. */
  async drain(): Promise<void> {
    this.#udp?.drain();
    for (const key of [...this.#frontends.keys()]) this.unlisten(key, { endSessions: false });
    if (this.#isIdle()) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  #isIdle(): boolean {
    return this.#connectionCount() === 0 && this.#udpSessionCount() === 0;
  }

  #checkIdle(): void {
    if (this.#whenIdle !== undefined && this.#isIdle()) this.#whenIdle();
  }

  /** Resets every connection; the worker is of no use after that. */
  close(): void {
    clearInterval(this.#ticker);
    for (const key of [...this.#frontends.keys()]) this.unlisten(key, { endSessions: false });
    for (const connections of [this.waiting, this.dialling, this.open]) {
      for (const connection of connections) connection.stop("shutdown");
    }
    this.#udp?.endAll("shutdown");
    this.#loop.close();
  }
}

function placeOf({ key, protocol, address, port, kind, service, portName }: FrontendSpec): FrontendPlace {
  return { key, protocol, address, port, kind, service, portName };
}

/** Four looks within the shortest timeout, but not more often than the clock ticks. */
function sweepInterval(options: ProxyOptions): number {
  const timeouts = [
    options.idleTimeoutMs,
    options.halfClosedTimeoutMs,
    options.stalledWriteTimeoutMs,
    options.udpIdleTimeoutMs,
    options.udpOneWayTimeoutMs,
    options.drainTimeoutMs,
  ].filter((timeoutMs) => timeoutMs > 0);
  return Math.min(LONGEST_SWEEP_MS, Math.max(TICK_MS, Math.min(...timeouts) / 4));
}
