import { type ServicePortStatus, type Shortfall, serviceName, servicePortStatuses } from "@svcproxy/host";
import type { HostPlan, ServicePortPlan } from "@svcproxy/topology";

/** How a port stands; undefined: in force. */
export type ShortfallOf = (port: ServicePortPlan) => Shortfall | undefined;

/** How each port of each service stands, kept by service, so that a change of one does not touch the others. */
export class StatusBook {
  #plan: Pick<HostPlan, "ports"> = { ports: [] };
  #byService = new Map<string, readonly ServicePortStatus[]>();
  /** What of the last plan nobody has asked about yet: who applies once never does. */
  #pending: (() => void) | undefined;

  /** All ports of a plan that was tried. @param shortfall answers the same whenever it is asked */
  noteAll(plan: HostPlan, shortfall: ShortfallOf): void {
    this.#settle();
    this.#plan = plan;
    const now = new Date();
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
      if (own === undefined) this.#byService.delete(service);
      else this.#note(service, { ports: own, before: this.#byService.get(service), shortfall, now });
    }
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
    this.#settle();
    const services = new Set(this.#plan.ports.map(serviceName));
    return [...services].flatMap((service) => this.#byService.get(service) ?? []);
  }
}
