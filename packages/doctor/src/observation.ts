import { givenRules, type HostSnapshot } from "@svcproxy/host";
import { createRouter, createTracer, type GivenRules, type HostRules, type Router, type Tracer } from "@svcproxy/rules";
import type { Family, HostPlan, Topology } from "@svcproxy/topology";

/** A host as it was seen, with what it promises. What is worked out of it is kept. */
export class ObservedHost {
  readonly plan: HostPlan;
  readonly snapshot: HostSnapshot;
  readonly router: Router;
  readonly #tracers = new Map<Family, Tracer>();
  #rules: GivenRules | undefined;

  constructor({ plan, snapshot }: { readonly plan: HostPlan; readonly snapshot: HostSnapshot }) {
    this.plan = plan;
    this.snapshot = snapshot;
    this.router = createRouter(snapshot.hostState);
  }

  get name(): string {
    return this.plan.host.name;
  }

  /** Undefined where the rules could not be read. */
  rules(family: Family): HostRules | undefined {
    if (this.snapshot.rules === undefined) return undefined;
    this.#rules ??= givenRules(this.snapshot.rules);
    return this.#rules.rules(family);
  }

  tracer(family: Family): Tracer | undefined {
    const known = this.#tracers.get(family);
    if (known !== undefined) return known;
    const rules = this.rules(family);
    if (rules === undefined) return undefined;
    const tracer = createTracer({ rules, hostState: this.snapshot.hostState });
    this.#tracers.set(family, tracer);
    return tracer;
  }

  /** Whether an address is one of this host's own. */
  owns(address: string): boolean {
    return this.snapshot.hostState.interfaces.some(({ addresses }) => addresses.some((own) => own.address === address));
  }
}

export interface Observation {
  readonly topology: Topology;
  /** The host that is asked about. */
  readonly here: ObservedHost;
  /** Other hosts of which there is a snapshot, by name. */
  readonly peers: ReadonlyMap<string, ObservedHost>;
}
