import { portsNamed, type ServicePortStatus, serviceName } from "@svcproxy/host";
import { formatSocketAddress, type HostPlan, type ServicePortPlan } from "@svcproxy/topology";
import type { CarriedOut } from "../agent-options.ts";

/** One port of a service in one family, with where it leads: what `/v1/services` answers. Times are ISO 8601. */
export interface ServiceDetail extends Omit<ServicePortStatus, "since"> {
  /** Since when `state` is this one. */
  readonly since: string;
  /** Since when the service's ports and endpoints in force are these; at the earliest the agent's own first plan. */
  readonly asItIsSince: string;
  /** What clients dial: `10.100.0.1:80`; a NodePort of every address as `*:30080`. */
  readonly frontends: readonly FrontendDetail[];
  /** Those that some client may reach here. */
  readonly endpoints: readonly EndpointDetail[];
  /** What kept it from being in force last, be it over by now; absent: nothing did since the agent was started. */
  readonly lastProblem?: { readonly at: string; readonly text: string };
}

export interface FrontendDetail {
  readonly kind: ServicePortPlan["frontends"][number]["kind"];
  readonly address: string;
}

export interface EndpointDetail {
  readonly address: string;
  readonly pod?: string;
  /** The host that runs it, where the topology says. */
  readonly host?: string;
  /** Whether it is on this host. */
  readonly isHere: boolean;
  readonly ready: boolean;
}

/** Remembers of each service when it last changed, and what was wrong with it last. */
export class ServiceBook {
  readonly #changedAt = new Map<string, Date>();
  readonly #problems = new Map<string, { readonly at: Date; readonly text: string }>();
  #startedAt = new Date();

  carriedOut({ changed, isWhole, ports }: Pick<CarriedOut, "changed" | "isWhole" | "ports">): void {
    const now = new Date();
    if (changed === undefined && this.#changedAt.size === 0) this.#startedAt = now;
    for (const service of changed ?? []) this.#changedAt.set(service, now);
    if (isWhole) return;
    for (const port of ports) {
      if (port.problem !== undefined) this.#problems.set(keyOf(port), { at: now, text: port.problem.text });
    }
  }

  /** The ports of the services that `NAME` or `NAMESPACE/NAME` means. */
  tell(
    name: string,
    { plan, ports }: { readonly plan: HostPlan; readonly ports: readonly ServicePortStatus[] },
  ): readonly ServiceDetail[] {
    const statuses = new Map(ports.map((status) => [keyOf(status), status]));
    return portsNamed(plan, name).flatMap((port) => {
      const service = serviceName(port);
      const { name: portName, protocol, port: number } = port.port;
      const status = statuses.get(keyOf({ service, portName, protocol, port: number, family: port.family }));
      if (status === undefined) return [];
      const last = this.#problems.get(keyOf(status));
      return [
        {
          ...status,
          since: status.since.toISOString(),
          asItIsSince: (this.#changedAt.get(service) ?? this.#startedAt).toISOString(),
          frontends: frontendsOf(port),
          endpoints: port.reachableEndpoints.map((endpoint) => ({
            address: formatSocketAddress(endpoint),
            ...(endpoint.pod === undefined ? {} : { pod: endpoint.pod }),
            ...(endpoint.host === undefined ? {} : { host: endpoint.host }),
            isHere: endpoint.host === plan.host.name,
            ready: endpoint.ready,
          })),
          ...(last === undefined ? {} : { lastProblem: { at: last.at.toISOString(), text: last.text } }),
        },
      ];
    });
  }
}

function frontendsOf({ frontends }: ServicePortPlan): readonly FrontendDetail[] {
  return frontends.flatMap(({ kind, addresses, everyHostAddress, port }) =>
    everyHostAddress
      ? [{ kind, address: `*:${port}` }]
      : addresses.map((address) => ({ kind, address: formatSocketAddress({ address, port }) })),
  );
}

function keyOf({
  service,
  portName,
  protocol,
  port,
  family,
}: Omit<ServicePortStatus, "state" | "since" | "problem">): string {
  return JSON.stringify([service, portName, protocol, port, family]);
}
