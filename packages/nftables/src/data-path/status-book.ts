import { countChanged, type ServicePortStatus, type Shortfall, serviceName, servicePortStatuses } from "@svcproxy/host";
import type { HostPlan, ServicePortPlan } from "@svcproxy/topology";

/** How a port stands; undefined: in force. */
export type ShortfallOf = (port: ServicePortPlan) => Shortfall | undefined;

/** How each port of each service stands, kept by service, so that a change of one does not touch the others. */
export class StatusBook {
  #plan: Pick<HostPlan, "ports"> = { ports: [] };
  #byService = new Map<string, readonly ServicePortStatus[]>();
  /** What of the last plan nobody has asked about yet: who applies once never does. */
  #pending: (() => void) | undefined;
  /** What was told, and where each service begins in it; undefined: somebody has to ask first. */
  #listed: { readonly list: readonly ServicePortStatus[]; readonly places: ReadonlyMap<string, number> } | undefined;

  /** All ports of a plan that was tried. @param shortfall answers the same whenever it is asked */
  noteAll(plan: HostPlan, shortfall: ShortfallOf): void {
    this.#settle();
    this.#plan = plan;
    const now = new Date();
    this.#listed = undefined;
    this.#pending = () => {
      const before = this.#byService;
      this.#byService = new Map();
      for (const [service, ports] of Map.groupBy(plan.ports, serviceName)) {
        this.#note(service, { ports, before: before.get(service), shortfall, now });
      }
    };
  }

  #settle(): void {
    this.#pending?.();
    this.#pending = undefined;
  }

  /** Some services of a plan that were tried, `namespace/name`, and all ports that they have in it. */
  noteSome(
    plan: HostPlan,
    {
      services,
      ports,
      shortfall,
    }: { services: Iterable<string>; ports: readonly ServicePortPlan[]; shortfall: ShortfallOf },
  ): void {
    this.#settle();
    this.#plan = plan;
    const now = new Date();
    const ofService = Map.groupBy(ports, serviceName);
    for (const service of services) {
      const own = ofService.get(service);
      const before = this.#byService.get(service);
      if (own === undefined) this.#byService.delete(service);
      else this.#note(service, { ports: own, before, shortfall, now });
      if (own?.length !== before?.length) this.#listed = undefined;
    }
    this.#listAgain(services);
  }

  /** Of thousands, those few: whoever applies a small change asks each time. */
  #listAgain(services: Iterable<string>): void {
    const listed = this.#listed;
    if (listed === undefined) return;
    const list = listed.list.slice();
    const places: number[] = [];
    for (const service of services) {
      const statuses = this.#byService.get(service) ?? [];
      const start = listed.places.get(service);
      if (start === undefined) continue;
      for (const [index, status] of statuses.entries()) {
        list[start + index] = status;
        places.push(start + index);
      }
    }
    countChanged(list, { before: listed.list, places });
    this.#listed = { list, places: listed.places };
  }

  #note(
    service: string,
    {
      before = [],
      ...input
    }: {
      readonly ports: readonly ServicePortPlan[];
      readonly before: readonly ServicePortStatus[] | undefined;
      readonly shortfall: ShortfallOf;
      readonly now: Date;
    },
  ): void {
    this.#byService.set(service, servicePortStatuses({ ...input, before }));
  }

  /** In the order of the plan that was asked for last. */
  list(): readonly ServicePortStatus[] {
    if (this.#listed !== undefined) return this.#listed.list;
    this.#settle();
    const list: ServicePortStatus[] = [];
    const places = new Map<string, number>();
    for (const service of new Set(this.#plan.ports.map(serviceName))) {
      places.set(service, list.length);
      list.push(...(this.#byService.get(service) ?? []));
    }
    this.#listed = { list, places };
    return list;
  }
}
