import { isDeepStrictEqual } from "node:util";
import type { ApplyOptions, ConnectionQuestion, Connections } from "@svcproxy/host";
import type { HostPlan } from "@svcproxy/topology";
import { ActiveChecks } from "./active-checks.ts";
import { FrontendListeners } from "./frontend-listeners.ts";
import { readLocalAddresses } from "./host-addresses.ts";
import type { DataPlane } from "./plane/byte-stream.ts";
import type { ClientFacts } from "./policy/client-classifier.ts";
import { newFrontendCounters } from "./policy/counters.ts";
import { type FrontendSpec, type ListedEndpoint, listens } from "./policy/frontend-spec.ts";
import { podCidrs } from "./policy/pod-cidrs.ts";
import { ServedServices } from "./policy/served-services.ts";
import type { ProxyOptions } from "./proxy-options.ts";
import type { FrontendPlace, FrontendStatus, ListenState, ProxySnapshot } from "./proxy-status.ts";
import type { HandedListener, ProxySurroundings, ServeReport, ServiceProxy } from "./service-proxy.ts";
import { RefusedFrontends } from "./udp/refused-frontends.ts";
import {
  mergeEndpoints,
  mergeFrontendCounters,
  mergeLimits,
  placesThatLeft,
  workerStatus,
} from "./workers/merge-readings.ts";
import type { WorkerChange } from "./workers/worker-change.ts";
import { changeSlices } from "./workers/worker-change.ts";
import type { RetiredReading, WorkerGroup } from "./workers/worker-group.ts";

/** See `createProxy`. */
export class RunningProxy implements ServiceProxy {
  readonly #options: ProxyOptions;
  readonly #group: WorkerGroup;
  readonly #listeners: FrontendListeners;
  readonly #checks: ActiveChecks | undefined;
  readonly #refused: RefusedFrontends | undefined;
  readonly #served = new ServedServices();
  /** Frontends that left the plan, and listen on until those that came in their place can. */
  readonly #kept = new Map<string, FrontendSpec>();
  #clients: ClientFacts | undefined;
  /** Endpoints that fail their checks. */
  #down: ReadonlySet<string> = new Set();
  #state: ProxySnapshot["state"] = "running";
  /** Plans are carried out one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #draining: Promise<void> | undefined;
  #drainTimer: NodeJS.Timeout | undefined;
  readonly #drainTimeout = Promise.withResolvers<void>();

  constructor({
    options,
    surroundings: { logger, inherited = new Map() },
    plane,
    group,
  }: {
    options: ProxyOptions;
    surroundings: ProxySurroundings;
    plane: DataPlane;
    group: WorkerGroup;
  }) {
    this.#options = options;
    this.#group = group;
    this.#listeners = new FrontendListeners({ plane, options, group, inherited });
    if (plane.datagrams !== undefined) {
      this.#refused = new RefusedFrontends({
        ...{ datagrams: plane.datagrams, logger },
        endpointsOf: (key) => this.#endpointsOf(key),
        onAnswer: (key) => this.#listenAgain(key),
      });
    }
    if (options.healthIntervalMs > 0) {
      this.#checks = new ActiveChecks({
        plane,
        intervalMs: options.healthIntervalMs,
        timeoutMs: options.connectTimeoutMs,
        onChange: (down) => this.#setDown(down, logger),
        onFault: (error) => logger.error({ err: error }, "this is a bug in svcproxy, and was passed over"),
      });
    }
  }

  #setDown(down: ReadonlySet<string>, logger: ProxySurroundings["logger"]): void {
    const listed = new Set(this.#served.endpoints().map(({ key }) => key));
    const failing = [...down].filter((key) => !this.#down.has(key));
    // One that left the plan is no longer checked, and is not back.
    const back = [...this.#down].filter((key) => listed.has(key) && !down.has(key));
    if (failing.length > 0) logger.warn({ endpoints: failing }, "endpoints fail their checks and are passed over");
    if (back.length > 0) logger.info({ endpoints: back }, "endpoints answer their checks again");
    this.#down = down;
    this.#group.setDown(down);
  }

  async apply(plan: HostPlan, { changed }: ApplyOptions = {}): Promise<ServeReport> {
    const turn = this.#turn.then(() => this.#carryOut(plan, changed));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #carryOut(plan: HostPlan, changed: ReadonlySet<string> | undefined): Promise<ServeReport> {
    const addresses = readLocalAddresses(this.#options);
    const change = await this.#served.update(plan, changed);
    const frontends = this.#served.frontends();
    await this.#tellWorkers({
      otherListeners: plan.healthChecks.reduce((sum, { addresses }) => sum + (addresses?.length ?? 1), 0),
      endpoints: change.endpoints,
      frontends: change.frontends,
      ...this.#clientsChange({
        podCidrs: podCidrs(plan, addresses.interfaces),
        // A host that dials a VIP of its own has that VIP as its source address.
        hostAddresses: [...new Set([...addresses.all, ...frontends.map(({ address }) => address)])],
        ownAddresses: [...plan.host.addresses, ...addresses.own],
      }),
    });
    // Of those that are otherwise now an endpoint may be there.
    for (const { key } of [...change.frontends, ...change.goneFrontends]) this.#refused?.forget(key);
    const opened = await this.#listeners.open(frontends.filter((spec) => listens(spec) && !this.#isRefused(spec.key)));
    const silenced = this.#listeners.close(change.frontends.filter((spec) => !listens(spec)).map(({ key }) => key));
    const gone = await this.#replaceGone(change.goneFrontends, frontends);
    const closed = this.#listeners.close(gone);
    await this.#tellWorkers({ goneFrontends: gone, goneEndpoints: change.goneEndpoints.map(({ key }) => key) });
    if (change.endpoints.length + change.goneEndpoints.length > 0) this.#followEndpoints();
    await this.#group.settle();
    return {
      frontends: this.#statuses([]),
      opened,
      closed: silenced + closed,
      changed: opened + silenced + closed + change.frontends.length + gone.length > 0,
    };
  }

  #isRefused(key: string): boolean {
    return this.#refused?.has(key) === true;
  }

  /** All endpoints of a UDP frontend refuse: nobody is to listen, so that the kernel tells clients. */
  refused(key: string): void {
    this.#inTurn(async () => {
      if (this.#state !== "running" || this.#isRefused(key) || this.#listeners.stateOf(key).kind !== "listening")
        return;
      this.#refused?.add(key);
      this.#listeners.close([key]);
    });
  }

  #listenAgain(key: string): void {
    this.#inTurn(async () => {
      const spec = this.#served.frontend(key);
      if (this.#state === "running" && spec !== undefined && listens(spec)) await this.#listeners.open([spec]);
    });
  }

  #inTurn(action: () => Promise<void>): void {
    this.#turn = this.#turn.then(action).catch(() => {});
  }

  #endpointsOf(key: string): readonly ListedEndpoint[] | undefined {
    const spec = this.#served.frontend(key);
    if (spec === undefined) return undefined;
    const keys = Object.values(spec.clients).flatMap((handling) =>
      handling.kind === "forward" ? handling.endpoints : [],
    );
    return [...new Set(keys)].map((key) => this.#served.endpoint(key)).filter((endpoint) => endpoint !== undefined);
  }

  #clientsChange(clients: ClientFacts): Pick<WorkerChange, "clients"> {
    if (isDeepStrictEqual(clients, this.#clients)) return {};
    this.#clients = clients;
    return { clients };
  }

  /** A part is told once the one before has been carried out: what waits in a worker's channel it would take all at once. */
  async #tellWorkers(change: WorkerChange): Promise<void> {
    for (const part of changeSlices(change)) {
      this.#group.apply(part);
      await this.#group.settle();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #followEndpoints(): void {
    this.#checks?.follow(this.#served.endpoints().filter(({ protocol }) => protocol === "tcp"));
  }

  /**
   * Of a service's port that has a new address where nobody can listen, the old one stays, and leads where the new one would.
   *
   * @returns keys of the frontends that are to go
   */
  async #replaceGone(goneNow: readonly FrontendSpec[], frontends: readonly FrontendSpec[]): Promise<readonly string[]> {
    const gone = [...this.#kept.values(), ...goneNow].filter(({ key }) => this.#served.frontend(key) === undefined);
    this.#kept.clear();
    if (gone.length === 0) return [];
    const failing = frontends.filter(({ key }) => {
      const state = this.#listeners.stateOf(key);
      // Where descriptors are short, what is not needed must not keep any.
      return state.kind === "failed" && state.code !== "EMFILE" && state.code !== "ENFILE";
    });
    const failingOf = Map.groupBy(failing, ({ affinityKey }) => affinityKey);
    const kept: FrontendSpec[] = [];
    for (const spec of gone) {
      const inItsPlace = failingOf.get(spec.affinityKey)?.find(({ kind }) => kind === spec.kind);
      if (inItsPlace === undefined || this.#listeners.stateOf(spec.key).kind !== "listening") continue;
      const { clients, sourceRanges, affinityTimeoutMs } = inItsPlace;
      kept.push({ ...spec, clients, sourceRanges, affinityTimeoutMs });
    }
    for (const spec of kept) this.#kept.set(spec.key, spec);
    await this.#tellWorkers({ frontends: kept });
    return gone.map(({ key }) => key).filter((key) => !this.#kept.has(key));
  }

  async snapshot(): Promise<ProxySnapshot> {
    const { workers, retired } = await this.#group.read();
    const listed = new Set(this.#served.endpoints().map(({ key }) => key));
    const readings = [...workers, ...retired];
    return {
      state: this.#state,
      workers: workers.map(workerStatus),
      frontends: this.#statuses(readings),
      endpoints: mergeEndpoints(readings).filter(({ key, counters }) => listed.has(key) || counters.active > 0),
      limits: mergeLimits(workers, this.#options),
    };
  }

  async connections(question: ConnectionQuestion): Promise<Connections> {
    return { ...(await this.#group.connections(question)), unknown: [] };
  }

  #statuses(readings: readonly RetiredReading[]): FrontendStatus[] {
    const counters = mergeFrontendCounters(readings);
    const status = (
      { key, protocol, address, port, kind, service, portName }: FrontendPlace,
      state: ListenState,
    ): FrontendStatus => ({
      ...{ key, protocol, address, port, kind, service, portName },
      state,
      counters: counters.get(key) ?? newFrontendCounters(),
    });
    return [
      ...this.specs().map((spec) =>
        status(spec, this.#isRefused(spec.key) ? REFUSED : this.#listeners.stateOf(spec.key)),
      ),
      ...this.#served.unsupported().map((place) => status(place, UNSUPPORTED)),
      ...placesThatLeft(readings).map((place) => status(place, { kind: "draining" })),
    ];
  }

  specs(): readonly FrontendSpec[] {
    return [...this.#served.frontends(), ...this.#kept.values()];
  }

  listeners(): readonly HandedListener[] {
    return this.#listeners.all();
  }

  drain(timeoutMs: number): Promise<void> {
    clearTimeout(this.#drainTimer);
    if (Number.isFinite(timeoutMs)) this.#drainTimer = setTimeout(this.#drainTimeout.resolve, timeoutMs);
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #drain(): Promise<void> {
    this.#state = "draining";
    this.#checks?.close();
    this.#refused?.stop();
    await this.#turn;
    this.#listeners.end();
    await Promise.race([this.#group.drain(), this.#drainTimeout.promise]);
    clearTimeout(this.#drainTimer);
    await this.#group.close();
  }

  async close(): Promise<void> {
    this.#state = "draining";
    this.#checks?.close();
    this.#refused?.stop();
    this.#listeners.end();
    this.#drainTimeout.resolve();
    await this.#group.close();
  }
}

const REFUSED: ListenState = { kind: "refusing", reason: "every endpoint refuses" };
const UNSUPPORTED: ListenState = { kind: "unsupported", reason: "Node has no SCTP sockets" };
