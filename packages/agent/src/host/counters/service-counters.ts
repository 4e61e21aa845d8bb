import type { DataPath, Machine } from "@svcproxy/host";
import { readIptablesCounts } from "@svcproxy/iptables";
import { readTableCounts } from "@svcproxy/nftables";
import { EnvironmentError, type HostPlan } from "@svcproxy/topology";
import { UserspaceDataPath } from "@svcproxy/userspace";
import type { Logger } from "pino";
import { FrontendIndex } from "./frontend-index.ts";
import { type CounterReading, labelsKey, type ServiceSum, ServiceSums } from "./service-sums.ts";

/** What is told of the services one by one. */
export interface ServiceCounters {
  /** At most as many as were asked for; who was among them stays among them. */
  readonly services: readonly ServiceSum[];
  /** Service ports of the plan of which nothing is told: beyond the bound, or not counted. */
  readonly leftOut: number;
  /** When they were read. */
  readonly readAt: Date;
}

export interface ServiceCountersOptions {
  readonly machine: Machine;
  readonly dataPath: Pick<DataPath, "name">;
  /** The one in force. */
  readonly plan: () => HostPlan | undefined;
  /** So many service ports are told of at most; 0: none is, and nothing is read. */
  readonly limit: number;
  /** Whether there are counters of bytes in tables of nftables. */
  readonly countsTraffic: boolean;
  /** The part of a core that reading may cost; default: 0.01. */
  readonly share?: number;
  /** Whether what counts was there before us: then what was counted so far is not told. Default: never. */
  readonly continues?: () => boolean;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/** What was read is told again for at least so long, */
const SHORTEST_AGE_MS = 5_000;
/** and for so long that reading costs at most this part of a core where nobody says another, */
const READ_SHARE = 0.01;
/** but no longer than this: where it takes long, it is mostly waiting. */
const LONGEST_AGE_MS = 60_000;
/** Nobody who asks is held up for longer: what is read then is told to the next one. */
const LONGEST_WAIT_MS = 2_000;
/** iptables prints its whole nat table to tell of one counter: of more service ports it is not asked. */
const MOST_IPTABLES_PORTS = 1_000;

/** Connections and bytes of each service, read from where they are counted when somebody asks, and not more often than that may cost. */
export class ServiceCounterReader {
  readonly #options: ServiceCountersOptions;
  readonly #sums = new ServiceSums();
  readonly #told = new Set<string>();
  #index: { readonly plan: HostPlan; readonly frontends: FrontendIndex } | undefined;
  #last: { readonly counters: ServiceCounters; readonly untilMs: number } | undefined;
  #reading: Promise<ServiceCounters | undefined> | undefined;
  #complained = false;

  constructor(options: ServiceCountersOptions) {
    this.#options = options;
  }

  /** @returns undefined where nothing is in force yet, nothing is to be told, or it could not be read, or not yet */
  async read(): Promise<ServiceCounters | undefined> {
    if (this.#last !== undefined && performance.now() < this.#last.untilMs) return this.#last.counters;
    this.#reading ??= this.#readAnew().finally(() => {
      this.#reading = undefined;
    });
    return Promise.race([this.#reading, this.#late()]);
  }

  /** What is known, when reading takes too long. */
  async #late(): Promise<ServiceCounters | undefined> {
    await new Promise((resolve) => setTimeout(resolve, LONGEST_WAIT_MS).unref());
    return this.#last?.counters;
  }

  async #readAnew(): Promise<ServiceCounters | undefined> {
    const { plan: planInForce, limit, logger, share = READ_SHARE } = this.#options;
    const plan = planInForce();
    if (plan === undefined || limit === 0) return undefined;
    const startedMs = performance.now();
    try {
      const readings = await this.#readings(plan);
      this.#sums.take(readings, { isBaseline: this.#last === undefined && this.#options.continues?.() === true });
    } catch (error) {
      if (!(error instanceof EnvironmentError)) throw error;
      if (!this.#complained) logger.warn({ code: error.code }, `services' counters cannot be read: ${error.message}`);
      this.#complained = true;
      return this.#last?.counters;
    }
    const tookMs = performance.now() - startedMs;
    const counters = { ...this.#choose(plan), readAt: new Date() };
    const ageMs = Math.min(LONGEST_AGE_MS, Math.max(SHORTEST_AGE_MS, tookMs / share));
    this.#last = { counters, untilMs: performance.now() + ageMs };
    return counters;
  }

  async #readings(plan: HostPlan): Promise<readonly CounterReading[]> {
    const { dataPath, machine, countsTraffic, signal } = this.#options;
    if (dataPath instanceof UserspaceDataPath) return userspaceReadings(dataPath);
    if (dataPath.name === "iptables" && plan.ports.length > MOST_IPTABLES_PORTS) return [];
    const counts =
      dataPath.name === "iptables"
        ? await readIptablesCounts(machine, { signal })
        : await readTableCounts(machine, { countsTraffic, signal });
    if (this.#index?.plan !== plan) this.#index = { plan, frontends: new FrontendIndex(plan) };
    const { frontends } = this.#index;
    return counts.flatMap((count) => frontends.readingOf(count) ?? []);
  }

  /** Those that were told of before, then those with the most connections: series that come and go are dear. */
  #choose(plan: HostPlan): Pick<ServiceCounters, "services" | "leftOut"> {
    const all = new Map(this.#sums.all().map((sum) => [labelsKey(sum), sum]));
    for (const key of this.#told) if (!all.has(key)) this.#told.delete(key);
    const rest = [...all.keys()]
      .filter((key) => !this.#told.has(key))
      .sort((a, b) => this.#sums.countedOf(b) - this.#sums.countedOf(a));
    for (const key of rest.slice(0, Math.max(0, this.#options.limit - this.#told.size))) this.#told.add(key);
    const services = [...this.#told].flatMap((key) => all.get(key) ?? []);
    return { services, leftOut: countServicePorts(plan) - services.length };
  }
}

/** Both families of a port are one. */
export function countServicePorts({ ports }: HostPlan): number {
  const keys = ports.map(({ service: { namespace, name }, port }) =>
    labelsKey({ service: `${namespace}/${name}`, portName: port.name, protocol: port.protocol }),
  );
  return new Set(keys).size;
}

async function userspaceReadings(dataPath: UserspaceDataPath): Promise<readonly CounterReading[]> {
  const { frontends = [] } = (await dataPath.snapshot()) ?? {};
  return frontends.map(({ key, service, portName, protocol, counters }) => ({
    ...{ key, service: { service, portName, protocol } },
    connections: counters.connections,
    bytesFromClients: counters.bytesFromClient,
    bytesToClients: counters.bytesToClient,
    active: counters.active,
  }));
}
