import type { IpAddress } from "../address.ts";
import type { Service } from "../model.ts";
import type { HostPlan, ServicePortPlan } from "./host-plan.ts";
import type { OnwardMemory } from "./onward-memory.ts";
import type { ServicePlan } from "./plan-service.ts";
import { keyOf } from "./service-difference.ts";

/** The addresses of a machine, and those of them that are no VIP of the topology. */
export interface MachineBesideVips {
  readonly all: ReadonlySet<IpAddress>;
  readonly own: readonly IpAddress[];
}

/** How a plan came from the one before. */
export interface PlanChanges {
  readonly previous: HostPlan;
  /** `namespace/name`: their part of the plan is another one; all else is the very same. */
  readonly changed: ReadonlySet<string>;
}

interface PlanMemoryInput {
  readonly services: readonly Service[];
  /** By the places of the services. */
  readonly plans: readonly ServicePlan[];
  readonly search: OnwardMemory;
  readonly machine: MachineBesideVips;
  /** Whether an endpoint is a frontend itself. */
  readonly leadsOn: boolean;
  /** Those of a plan whose services stand in the same places. */
  readonly places: Places | undefined;
  /** Those of a plan whose services have as many ports each. */
  readonly portPlaces: PortPlaces | undefined;
  readonly changedFrom: PlanChanges | undefined;
}

/** What is known besides of a plan, so that the next one costs what changes. */
export class PlanMemory {
  readonly services: readonly Service[];
  readonly plans: readonly ServicePlan[];
  readonly machine: MachineBesideVips;
  readonly leadsOn: boolean;
  readonly places: Places;
  readonly portPlaces: PortPlaces;
  #search: OnwardMemory | undefined;
  #changedFrom: PlanChanges | undefined;

  constructor({ services, plans, search, machine, leadsOn, places, portPlaces, changedFrom }: PlanMemoryInput) {
    this.services = services;
    this.plans = plans;
    this.machine = machine;
    this.leadsOn = leadsOn;
    this.places = places ?? new Places(services);
    this.portPlaces = portPlaces ?? new PortPlaces(plans);
    this.#search = search;
    this.#changedFrom = changedFrom;
  }

  get changedFrom(): PlanChanges | undefined {
    return this.#changedFrom;
  }

  /** It changes with the next plan: whoever plans a second time from the same one has to find out anew. */
  takeSearch(): OnwardMemory | undefined {
    const search = this.#search;
    this.#search = undefined;
    // What came before what came before is not to be held for ever.
    this.#changedFrom = undefined;
    return search;
  }

  byService(): ReadonlyMap<Service, ServicePlan> {
    return new Map(
      this.services.flatMap((service, place) => {
        const plan = this.plans[place];
        return plan === undefined ? [] : [[service, plan] as const];
      }),
    );
  }
}

/** Where services stand, `namespace/name`; found out when somebody asks. */
class Places {
  readonly #services: readonly Service[];
  #places: ReadonlyMap<string, number> | undefined;

  constructor(services: readonly Service[]) {
    this.#services = services;
  }

  of(name: string): number | undefined {
    this.#places ??= new Map(this.#services.map((service, place) => [keyOf(service), place]));
    return this.#places.get(name);
  }
}

/** Where the ports of each service begin in a plan; found out when somebody asks. */
export class PortPlaces {
  #plans: readonly ServicePlan[] | undefined;
  #starts: readonly number[] = [];

  constructor(plans: readonly ServicePlan[]) {
    this.#plans = plans;
  }

  /** @param place of the service in the topology */
  startOf(place: number): number {
    if (this.#plans !== undefined) {
      let next = 0;
      this.#starts = this.#plans.map(({ ports }) => {
        const start = next;
        next += ports.length;
        return start;
      });
      // What was planned first is not to be held for ever.
      this.#plans = undefined;
    }
    return this.#starts[place] ?? 0;
  }
}

/**
 * What is known of a plan hangs on the plan itself, unseen: what a WeakMap holds survives V8's small collections when its plan is long gone,
 * lists of thousands with each change.
 */
const MEMORY = Symbol("what is known of this plan");

export function remember(plan: HostPlan, memory: PlanMemory): void {
  Object.defineProperty(plan, MEMORY, { value: memory });
}

export function recall(plan: HostPlan): PlanMemory | undefined {
  const memory: unknown = Reflect.get(plan, MEMORY);
  return memory instanceof PlanMemory ? memory : undefined;
}

/** Undefined where nobody knows. */
export function changesOf(plan: HostPlan): PlanChanges | undefined {
  return recall(plan)?.changedFrom;
}

/** All ports of a service (`namespace/name`) in a plan, in its order. */
export function portsOfService(plan: HostPlan, name: string): readonly ServicePortPlan[] {
  const memory = recall(plan);
  if (memory === undefined) {
    return plan.ports.filter(({ service }) => name.endsWith(service.name) && keyOf(service) === name);
  }
  const place = memory.places.of(name);
  return place === undefined ? [] : (memory.plans[place]?.ports ?? []);
}

/**
 * Something that few ports of a plan have: all of them are looked at once, and then those of services that changed, from one plan to the next.
 *
 * @param look what of it a port has; it may look at all that plans share whose services are planned alike, but not at other ports
 * @returns finds all of it, in the plan's order
 */
export function findInPorts<Found>(
  look: (port: ServicePortPlan, plan: HostPlan) => readonly Found[],
): (plan: HostPlan) => readonly Found[] {
  const known = new WeakMap<HostPlan, FoundInPorts<Found>>();
  const lookAt = (ports: readonly ServicePortPlan[], plan: HostPlan) => {
    const found: Found[] = [];
    for (const port of ports) found.push(...look(port, plan));
    return found;
  };
  const afterChanges = (plan: HostPlan): FoundInPorts<Found> | undefined => {
    const changes = changesOf(plan);
    const before = changes === undefined ? undefined : known.get(changes.previous);
    if (changes === undefined || before === undefined) return undefined;
    const fresh = new Map(Array.from(changes.changed, (name) => [name, lookAt(portsOfService(plan, name), plan)]));
    if ([...fresh].every(([name, found]) => found.length === 0 && !before.byService.has(name))) return before;
    return inOrder(plan, new Map([...before.byService, ...fresh]));
  };
  const inAll = (plan: HostPlan): FoundInPorts<Found> => {
    const byService = new Map<string, Found[]>();
    for (const port of plan.ports) {
      const found = look(port, plan);
      if (found.length === 0) continue;
      const name = keyOf(port.service);
      const ofService = byService.get(name);
      if (ofService === undefined) byService.set(name, [...found]);
      else ofService.push(...found);
    }
    return { byService, all: [...byService.values()].flat() };
  };
  return (plan) => {
    const found = known.get(plan) ?? afterChanges(plan) ?? inAll(plan);
    known.set(plan, found);
    return found.all;
  };
}

/**
 * Whether any port of a plan is so: all of them are looked at once, and then those of services that changed, from one plan to the next.
 *
 * @param isSo may look at all that plans share whose services are planned alike, but not at other ports
 */
export function someInPorts(isSo: (port: ServicePortPlan, plan: HostPlan) => boolean): (plan: HostPlan) => boolean {
  /** The service (`namespace/name`) of one that is so; undefined: there is none. */
  const known = new WeakMap<HostPlan, string | undefined>();
  const first = (ports: readonly ServicePortPlan[], plan: HostPlan) => {
    const found = ports.find((port) => isSo(port, plan));
    return found === undefined ? undefined : keyOf(found.service);
  };
  const look = (plan: HostPlan): string | undefined => {
    const changes = changesOf(plan);
    if (changes === undefined || !known.has(changes.previous)) return first(plan.ports, plan);
    const before = known.get(changes.previous);
    if (before !== undefined) return changes.changed.has(before) ? first(plan.ports, plan) : before;
    for (const name of changes.changed) {
      const found = first(portsOfService(plan, name), plan);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return (plan) => {
    if (!known.has(plan)) known.set(plan, look(plan));
    return known.get(plan) !== undefined;
  };
}

interface FoundInPorts<Found> {
  readonly byService: ReadonlyMap<string, readonly Found[]>;
  readonly all: readonly Found[];
}

function inOrder<Found>(plan: HostPlan, found: ReadonlyMap<string, readonly Found[]>): FoundInPorts<Found> {
  const places = recall(plan)?.places;
  const placeOf = (name: string) => places?.of(name) ?? 0;
  const sorted = [...found].filter(([, ofService]) => ofService.length > 0).sort(([a], [b]) => placeOf(a) - placeOf(b));
  return { byService: new Map(sorted), all: sorted.flatMap(([, ofService]) => ofService) };
}
