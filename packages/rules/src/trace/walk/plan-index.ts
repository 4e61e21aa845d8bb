import type { HostPlan, IpAddress, ServicePortPlan } from "@svcproxy/topology";

/** What of a plan is about an address or a port, so that one packet of ten thousand services is not asked about all of them. */
export class PlanIndex {
  readonly #plan: HostPlan;
  /** Ascending places in `HostPlan.ports`. */
  readonly #byAddress = new Map<IpAddress, number[]>();
  /** Of frontends at every address of the host, by port. */
  readonly #everywhere = new Map<number, number[]>();

  private constructor(plan: HostPlan) {
    this.#plan = plan;
    for (const [place, { frontends }] of plan.ports.entries()) {
      for (const { addresses, everyHostAddress, port } of frontends) {
        for (const address of addresses) addPlace(this.#byAddress, address, place);
        if (everyHostAddress) addPlace(this.#everywhere, port, place);
      }
    }
  }

  /** Built once for a plan. */
  static of(plan: HostPlan): PlanIndex {
    const known = indexes.get(plan);
    if (known !== undefined) return known;
    const index = new PlanIndex(plan);
    indexes.set(plan, index);
    return index;
  }

  /** Those that have a frontend with the address, in the plan's order. */
  withAddress(address: IpAddress): readonly ServicePortPlan[] {
    return this.#portsAt(this.#byAddress.get(address) ?? []);
  }

  /** Those that may have a frontend at the address and port, in the plan's order. */
  withSocket(address: IpAddress, port: number): readonly ServicePortPlan[] {
    const places = [...(this.#byAddress.get(address) ?? []), ...(this.#everywhere.get(port) ?? [])];
    return this.#portsAt([...new Set(places)].sort((a, b) => a - b));
  }

  #portsAt(places: readonly number[]): readonly ServicePortPlan[] {
    return places.flatMap((place) => this.#plan.ports[place] ?? []);
  }
}

const indexes = new WeakMap<HostPlan, PlanIndex>();

function addPlace<K>(places: Map<K, number[]>, key: K, place: number): void {
  const known = places.get(key);
  if (known === undefined) places.set(key, [place]);
  else if (known.at(-1) !== place) known.push(place);
}
