import { givenRules, type HostSnapshot, type PodNamespace } from "@svcproxy/host";
import {
  createRouter,
  createTracer,
  type GivenRules,
  type HostRules,
  type HostState,
  isProxyTable,
  type NftTable,
  type Router,
  type Tracer,
} from "@svcproxy/rules";
import type { Family, HostPlan, IpAddress, Topology } from "@svcproxy/topology";

/** A host as it was seen, with what it promises. What is worked out of it is kept. */
export class ObservedHost {
  readonly plan: HostPlan;
  readonly snapshot: HostSnapshot;
  readonly router: Router;
  readonly #tracers = new Map<string, Tracer>();
  #rules: GivenRules | undefined;
  #pods: readonly PodNamespace[] | undefined;

  constructor({ plan, snapshot }: { readonly plan: HostPlan; readonly snapshot: HostSnapshot }) {
    this.plan = plan;
    this.snapshot = snapshot;
    this.router = createRouter(snapshot.hostState);
  }

  get name(): string {
    return this.plan.host.name;
  }

  /** Namespaces of its pods. Where other hosts of the topology are namespaces of the same machine, as in a lab, they are left out. */
  get pods(): readonly PodNamespace[] {
    this.#pods ??= this.snapshot.pods.filter(
      ({ addresses }) =>
        !this.plan.hosts.some((host) => host.addresses.some((own) => addresses.some((address) => address === own))),
    );
    return this.#pods;
  }

  /** The pod that has an address; undefined where nobody has it, or several: then nobody knows which of them is meant. */
  podAt(address: IpAddress): PodNamespace | undefined {
    const [pod, ...others] = this.pods.filter(({ addresses }) => addresses.includes(address));
    return others.length === 0 ? pod : undefined;
  }

  /** Undefined where the rules could not be read. Chains of devices and bridges are judged apart, where `nft -j` told of them. */
  rules(family: Family): HostRules | undefined {
    if (this.snapshot.rules === undefined) return undefined;
    this.#rules ??= givenRules(this.snapshot.rules);
    const rules = this.#rules.rules(family);
    if (rules === undefined || this.snapshot.nftJson === undefined) return rules;
    return { ...rules, unread: rules.unread.filter(({ at }) => at === undefined) };
  }

  /** Follows packets of a family through this host; undefined where its rules could not be read. */
  tracer(family: Family): Tracer | undefined {
    return this.#tracer(`${family}`, () => ({ rules: this.rules(family), hostState: this.snapshot.hostState }));
  }

  /** The same for a client that no service remembers: what affinity does with one that it does is no fault. */
  tracerOfNewClients(family: Family): Tracer | undefined {
    return this.#tracer(`${family} new clients`, () => {
      const { hostState } = this.snapshot;
      const lists = Object.entries(hostState.recentLists ?? {}).map(
        ([name, addresses]) => [name, name.startsWith("KUBE-") ? [] : addresses] as const,
      );
      const rules = this.rules(family);
      return {
        rules:
          rules === undefined
            ? undefined
            : { ...rules, nft: { ...rules.nft, tables: rules.nft.tables.map(forgetful) } },
        hostState: {
          ...hostState,
          ...(hostState.recentLists === undefined ? {} : { recentLists: Object.fromEntries(lists) }),
        },
      };
    });
  }

  #tracer(
    key: string,
    seen: () => { readonly rules: HostRules | undefined; readonly hostState: HostState },
  ): Tracer | undefined {
    const known = this.#tracers.get(key);
    if (known !== undefined) return known;
    const { rules, hostState } = seen();
    if (rules === undefined) return undefined;
    const tracer = createTracer({ rules, hostState });
    this.#tracers.set(key, tracer);
    return tracer;
  }

  /** Whether an address is one of this host's own. */
  owns(address: string): boolean {
    return this.snapshot.hostState.interfaces.some(({ addresses }) => addresses.some((own) => own.address === address));
  }
}

/** A service proxy's table without what its rules noted of clients. */
function forgetful(table: NftTable): NftTable {
  if (!isProxyTable(`${table.family} ${table.name}`)) return table;
  const sets = [...table.sets].map(([name, set]) => [name, set.isDynamic ? { ...set, elements: [] } : set] as const);
  return { ...table, sets: new Map(sets) };
}

export interface Observation {
  readonly topology: Topology;
  /** The host that is asked about. */
  readonly here: ObservedHost;
  /** Other hosts of which there is a snapshot, by name. */
  readonly peers: ReadonlyMap<string, ObservedHost>;
}
