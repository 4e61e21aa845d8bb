import { type ServicePortStatus, type Shortfall, serviceName, servicePortStatuses } from "@svcproxy/host";
import type { HostPlan, ServicePortPlan } from "@svcproxy/topology";

/** How a port stands; undefined: in force. */
export type ShortfallOf = (port: ServicePortPlan) => Shortfall | undefined;

/** How each port of each service stands, kept by service, so that a change of one does not touch the others. */
export class StatusBook {
  #plan: Pick<HostPlan, "ports"> = { ports: [] };
  #byService = new Map<string, readonly ServicePortStatus[]>();

  /** All ports of a plan that was tried. */
  noteAll(plan: HostPlan, shortfall: ShortfallOf): void {
    const before = this.#byService;
    this.#byService = new Map();
    this.#plan = plan;
    for (const [service, ports] of Map.groupBy(plan.ports, serviceName)) {
      this.#note(service, { ports, before: before.get(service), shortfall });
    }
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
    this.#plan = plan;
    const ofService = Map.groupBy(ports, serviceName);
    for (const service of services) {
      const own = ofService.get(service);
      if (own === undefined) this.#byService.delete(service);
      else this.#note(service, { ports: own, before: this.#byService.get(service), shortfall });
    }
  }

  #note(
    service: string,
    {
      before = [],
      ...input
    }: { ports: readonly ServicePortPlan[]; before: readonly ServicePortStatus[] | undefined; shortfall: ShortfallOf },
  ): void {
    this.#byService.set(service, servicePortStatuses({ ...input, before, now: new Date() }));
  }

  /** In the order of the plan that was asked for last. */
  list(): readonly ServicePortStatus[] {
    const services = new Set(this.#plan.ports.map(serviceName));
    return [...services].flatMap((service) => this.#byService.get(service) ?? []);
  }
}
