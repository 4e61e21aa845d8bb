import type { FrontendKind, HostPlan, IpAddress } from "@svcproxy/topology";
import { hasPorts } from "../packet/request.ts";
import { PlanIndex } from "./plan-index.ts";

/** A VIP of the plan that is dialled on a port which no service has there: no rule is about it. */
export interface UnservedPort {
  readonly address: IpAddress;
  readonly kind: Exclude<FrontendKind, "nodePort">;
  /** `namespace/name` of each service that has the VIP. */
  readonly services: readonly string[];
  /** The ports that are served there, the nearest numbers first. */
  readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
}

/** @returns undefined where the address is no VIP of the plan, or the port is one of its services' */
export function unservedPort(
  plan: HostPlan,
  { to, port, protocol }: { readonly to: IpAddress; readonly port: number | undefined; readonly protocol: string },
): UnservedPort | undefined {
  if (port === undefined || !hasPorts(protocol)) return undefined;
  const there = PlanIndex.of(plan)
    .withAddress(to)
    .flatMap((served) =>
      served.frontends.flatMap(({ kind, addresses, port: number }) =>
        kind !== "nodePort" && addresses.includes(to) ? [{ served, kind, number }] : [],
      ),
    );
  const [first] = there;
  if (first === undefined) return undefined;
  if (there.some(({ served, number }) => number === port && served.port.protocol === protocol)) return undefined;
  const nearness = (other: { readonly port: number }) => Math.abs(other.port - port);
  return {
    address: to,
    kind: first.kind,
    services: [...new Set(there.map(({ served: { service } }) => `${service.namespace}/${service.name}`))],
    ports: there
      .map(({ served, number }) => ({ name: served.port.name, port: number, protocol: served.port.protocol }))
      .toSorted((one, other) => nearness(one) - nearness(other)),
  };
}

const KINDS = { clusterIP: "ClusterIP", externalIP: "external IP", loadBalancerIP: "load-balancer IP" } as const;
const MAX_LISTED = 10;

/** A sentence: whose VIP it is, and which ports there are. */
export function describeUnservedPort(
  { address, kind, services, ports }: UnservedPort,
  { port, protocol }: { readonly port: number | undefined; readonly protocol: string },
): string {
  const list = (texts: readonly string[]) => {
    const shown = texts.slice(0, MAX_LISTED).join(", ");
    return texts.length > MAX_LISTED ? `${shown} and ${texts.length - MAX_LISTED} more` : shown;
  };
  const served = ports.map((other) => `${other.port}/${other.protocol}${other.name === "" ? "" : ` (${other.name})`}`);
  return `${address} is the ${KINDS[kind]} of ${list(services)}, which has no port ${port}/${protocol}: it has ${list(served)}.`;
}
