import { performance } from "node:perf_hooks";
import { readAddresses } from "@svcproxy/host";
import { EnvironmentError, type HostPlan, planProblems } from "@svcproxy/topology";
import { ActiveChecks } from "./active-checks.ts";
import type {
  ApplyReport,
  FrontendPlace,
  FrontendState,
  FrontendStatus,
  HandedListener,
  ProxyOptions,
  ProxySnapshot,
  ProxySurroundings,
  ServiceProxy,
} from "./contract.ts";
import { FailureLog } from "./failure-log.ts";
import { HealthCheckServers } from "./health-check-servers.ts";
import { type LocalAddresses, sortAddresses } from "./host-addresses.ts";
import { ListenerBook } from "./listener-book.ts";
import type { DataPlane } from "./plane/byte-stream.ts";
import { handleDataPlane } from "./plane/handle-streams.ts";
import { loadNativeHandles } from "./plane/native-handles.ts";
import { socketDataPlane } from "./plane/socket-streams.ts";
import { LocalDesk } from "./policy/admission-desk.ts";
import { newFrontendCounters } from "./policy/counters.ts";
import { compileFrontends, type ServedPlan } from "./policy/frontend-spec.ts";
import { userspaceLimitations } from "./userspace-limitations.ts";
import { localWorkerGroup } from "./workers/local-worker-group.ts";
import {
  mergeEndpoints,
  mergeFrontendCounters,
  mergeLimits,
  placesThatLeft,
  workerStatus,
} from "./workers/merge-readings.ts";
import { ProcessWorkerGroup } from "./workers/process-worker-group.ts";
import { Worker, type WorkerReports, type WorkerSurroundings } from "./workers/worker.ts";
import type { RetiredReading, WorkerGroup } from "./workers/worker-group.ts";

/** The addresses of this machine are looked at this often: new ones serve NodePorts too. */
const ADDRESS_CHECK_MS = 5_000;

/**
 * A proxy that serves nothing yet; `apply` gives it a plan.
 *
 * @throws EnvironmentError UNSUPPORTED_NODE where this Node cannot do it
 */
export async function createProxy(options: ProxyOptions, surroundings: ProxySurroundings): Promise<ServiceProxy> {
  const native = loadNativeHandles();
  const plane = native === undefined ? socketDataPlane() : handleDataPlane(native);
  if (plane === undefined) throw unsupportedNode("this Node is too old");
  if (native === undefined) {
    if (options.workers > 1) throw unsupportedNode("this Node lacks the handles by which workers share a listener");
    surroundings.logger.warn("this Node lacks the native handles that are known: TCP only, slower, and no hand-over");
  }
  const failures = new FailureLog(surroundings.logger);
  const reports: WorkerReports = {
    dialFailed: (report) => failures.dialFailed(report),
    ...(surroundings.onConnectionEnd === undefined ? {} : { ended: surroundings.onConnectionEnd }),
  };
  const group =
    options.workers > 1
      ? new ProcessWorkerGroup({ ...surroundings, options, failures })
      : startLocalGroup({ options, plane, reports, inheritedListeners: surroundings.inherited?.size ?? 0 });
  return new RunningProxy({ options, surroundings, plane, group });
}

function unsupportedNode(reason: string): EnvironmentError {
  return new EnvironmentError("UNSUPPORTED_NODE", `Cannot start the proxy: ${reason}`, {
    hint: "Use the Node version that svcproxy was released with",
  });
}

function startLocalGroup(surroundings: Omit<WorkerSurroundings, "desk">): WorkerGroup {
  const { options, plane } = surroundings;
  const desk = new LocalDesk({ ...options, nowMs: () => performance.now() });
  return localWorkerGroup(new Worker({ ...surroundings, desk }), plane);
}

const NOTHING_SERVED: ServedPlan = {
  frontends: new Map(),
  endpoints: [],
  podCidrs: [],
  unsupported: [],
};

class RunningProxy implements ServiceProxy {
  readonly #options: ProxyOptions;
  readonly #logger: ProxySurroundings["logger"];
  readonly #group: WorkerGroup;
  readonly #book: ListenerBook;
  readonly #addressCheck: NodeJS.Timeout;
  readonly #checks: ActiveChecks | undefined;
  readonly #healthChecks: HealthCheckServers;
  readonly #onAddressesChange: (() => void) | undefined;
  #plan: HostPlan | undefined;
  #served = NOTHING_SERVED;
  #addresses = "";
  #saidStale = false;
  /** Endpoints that fail their checks. */
  #down: ReadonlySet<string> = new Set();
  #state: ProxySnapshot["state"] = "running";
  /** Plans are carried out one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #hurry: (() => void) | undefined;

  constructor({
    options,
    surroundings: { logger, inherited = new Map(), onAddressesChange },
    plane,
    group,
  }: {
    options: ProxyOptions;
    surroundings: ProxySurroundings;
    plane: DataPlane;
    group: WorkerGroup;
  }) {
    this.#options = options;
    this.#logger = logger;
    this.#group = group;
    this.#onAddressesChange = onAddressesChange;
    this.#healthChecks = new HealthCheckServers(logger);
    this.#book = new ListenerBook({
      plane,
      options,
      group,
      logger,
      inherited,
      exclusively: (work) => this.#inTurn(work),
    });
    if (options.healthIntervalMs > 0) {
      this.#checks = new ActiveChecks({
        plane,
        intervalMs: options.healthIntervalMs,
        timeoutMs: options.connectTimeoutMs,
        onChange: (down) => this.#setDown(down, logger),
      });
    }
    this.#addressCheck = setInterval(() => this.#followAddresses(), ADDRESS_CHECK_MS);
  }

  #setDown(down: ReadonlySet<string>, logger: ProxySurroundings["logger"]): void {
    const failing = [...down].filter((key) => !this.#down.has(key));
    // One that left the plan is no longer checked, and is not back.
    const back = this.#served.endpoints.map(({ key }) => key).filter((key) => this.#down.has(key) && !down.has(key));
    if (failing.length > 0) logger.warn({ endpoints: failing }, "endpoints fail their checks and are passed over");
    if (back.length > 0) logger.info({ endpoints: back }, "endpoints answer their checks again");
    this.#down = down;
    this.#group.setDown(down);
  }

  async apply(plan: HostPlan): Promise<ApplyReport> {
    return this.#inTurn(() => this.#carryOut(plan));
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #carryOut(plan: HostPlan): Promise<ApplyReport> {
    const addresses = this.#readAddresses();
    const before = this.#served.frontends;
    const served = compileFrontends(plan, addresses);
    this.#plan = plan;
    this.#addresses = signatureOf(addresses);
    this.#served = served;
    const specs = [...served.frontends.values()];
    const removed = this.#book.drop(served.frontends);
    this.#group.apply({
      frontends: specs,
      endpoints: served.endpoints,
      podCidrs: served.podCidrs,
      // A host that dials a VIP of its own has that VIP as its source address.
      hostAddresses: [...addresses.all, ...specs.map(({ address }) => address)],
      ownAddresses: [...plan.host.addresses, ...addresses.own],
    });
    this.#checks?.follow(served.endpoints.filter(({ protocol }) => protocol === "tcp"));
    this.#healthChecks.apply(plan.healthChecks);
    await this.#book.open(served.frontends);
    await this.#group.settle();
    return {
      frontends: this.#frontends([]),
      added: [...served.frontends.keys()].filter((key) => !before.has(key)),
      removed,
      problems: [...planProblems(plan), ...userspaceLimitations(plan)],
    };
  }

  #followAddresses(): void {
    if (this.#plan === undefined || this.#state !== "running") return;
    if (signatureOf(this.#readAddresses()) === this.#addresses) return;
    void this.apply(this.#plan);
    this.#onAddressesChange?.();
  }

  /** Where they cannot be read, those that were read last hold on; the log says so once. */
  #readAddresses(): LocalAddresses {
    const { addresses, fault } = readAddresses();
    if (fault !== undefined && !this.#saidStale) this.#logger.warn({ code: fault.code }, fault.message);
    this.#saidStale = fault !== undefined;
    return sortAddresses(addresses, this.#options);
  }

  async snapshot(): Promise<ProxySnapshot> {
    const { workers, retired } = await this.#group.read();
    const listed = new Set(this.#served.endpoints.map(({ key }) => key));
    const readings = [...workers, ...retired];
    return {
      state: this.#state,
      workers: workers.map(workerStatus),
      frontends: this.#frontends(readings),
      endpoints: mergeEndpoints(readings).filter(({ key, counters }) => listed.has(key) || counters.active > 0),
      limits: mergeLimits(workers, this.#options),
    };
  }

  #frontends(readings: readonly RetiredReading[]): FrontendStatus[] {
    const counters = mergeFrontendCounters(readings);
    const status = (
      { key, protocol, address, port, kind, service, portName }: FrontendPlace,
      state: FrontendState,
    ): FrontendStatus => ({
      ...{ key, protocol, address, port, kind, service, portName },
      state,
      counters: counters.get(key) ?? newFrontendCounters(),
    });
    const { frontends, unsupported } = this.#served;
    return [
      ...[...frontends.values()].map((spec) => status(spec, this.#book.stateOf(spec.key))),
      ...unsupported.map((place) => status(place, { kind: "unsupported", reason: "Node has no SCTP sockets" })),
      ...placesThatLeft(readings).map((place) => status(place, { kind: "draining" })),
    ];
  }

  listeners(): readonly HandedListener[] {
    return this.#book.listeners();
  }

  async drain(timeoutMs: number): Promise<void> {
    this.#state = "draining";
    clearInterval(this.#addressCheck);
    this.#checks?.close();
    this.#healthChecks.close();
    await this.#turn;
    this.#book.close();
    const hurried = new Promise<void>((resolve) => {
      this.#hurry?.();
      this.#hurry = resolve;
    });
    const timeout = Promise.withResolvers<void>();
    const timer = setTimeout(timeout.resolve, timeoutMs);
    await Promise.race([this.#group.drain(), timeout.promise, hurried]);
    clearTimeout(timer);
    await this.#group.close();
  }

  async close(): Promise<void> {
    this.#state = "draining";
    clearInterval(this.#addressCheck);
    this.#checks?.close();
    this.#healthChecks.close();
    this.#book.close();
    this.#hurry?.();
    await this.#group.close();
  }
}

/** What decides where NodePorts are served and who is a pod; VIPs come and go with plans and do not count. */
function signatureOf({ own, interfaces }: LocalAddresses): string {
  return JSON.stringify([own, interfaces]);
}
