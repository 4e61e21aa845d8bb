import { createTracer, exampleClients, type HostRules, type HostState, type Tracer } from "@svcproxy/rules";
import {
  type Endpoint,
  type Family,
  familyOf,
  formatSocketAddress,
  type HostPlan,
  InputError,
  type IpAddress,
  type Problem,
  type ServicePortPlan,
} from "@svcproxy/topology";
import { serviceName } from "../data-path/service-port-statuses.ts";

/** So many endpoints on the host's own addresses are looked at: each is followed through all rules. */
const MOST_ENDPOINTS = 64;

interface OwnEndpoint {
  readonly owner: ServicePortPlan;
  readonly endpoint: Endpoint;
}

/** Endpoints on addresses of the host itself: a port that a container publishes is one. */
export function ownEndpoints(plan: HostPlan, family: Family): readonly OwnEndpoint[] {
  const found = new Map<string, OwnEndpoint>();
  const own = new Set(plan.host.addresses.filter((address) => familyOf(address) === family));
  if (own.size === 0) return [];
  for (const owner of plan.ports) {
    if (owner.family !== family) continue;
    for (const endpoint of owner.reachableEndpoints) {
      if (!own.has(endpoint.address)) continue;
      const key = `${owner.port.protocol} ${formatSocketAddress(endpoint)}`;
      if (!found.has(key)) found.set(key, { owner, endpoint });
      if (found.size >= MOST_ENDPOINTS) return [...found.values()];
    }
  }
  return [...found.values()];
}

/**
 * Endpoints on this host that another program's DNAT alone may serve: who dials one straight meets it, and what a service translates
 * to it does not, because a packet is translated once.
 *
 * @param input.rules of others; ours may be among them
 */
export function findUnmetTranslations({
  plan,
  hostState,
  rules,
}: {
  readonly plan: HostPlan;
  readonly hostState: HostState;
  readonly rules: (family: Family) => HostRules;
}): readonly Problem[] {
  return ([4, 6] as const).flatMap((family) => {
    const endpoints = ownEndpoints(plan, family);
    if (endpoints.length === 0) return [];
    const tracer = createTracer({ rules: rules(family), hostState });
    return endpoints.flatMap((own): Problem[] => {
      const { owner, endpoint } = own;
      const met = [endpoint.address, outsider(own, { plan, hostState, family })]
        .map((from) => (from === undefined ? undefined : translationOf(tracer, own, from)))
        .find((translation) => translation !== undefined);
      if (met === undefined) return [];
      const at = formatSocketAddress(endpoint);
      return [
        {
          ...{ code: "FOREIGN_DNAT_UNMET", severity: "warning", subject: `service ${serviceName(owner)}` },
          text: `Endpoint ${at} of ${serviceName(owner)} is translated to ${met.to} by rule ${met.rule} of another program, which what comes by the service no longer meets: a packet is translated once. If nobody else listens there, it is refused`,
          hint: `Name ${met.to} as the endpoint`,
        },
      ];
    });
  });
}

function outsider(
  { owner }: OwnEndpoint,
  { plan, hostState, family }: { plan: HostPlan; hostState: HostState; family: Family },
): IpAddress | undefined {
  const [frontend] = owner.frontends;
  return frontend && exampleClients("outside", { plan, hostState, family, frontend })[0];
}

/** Where who dials it straight is sent by others; undefined where nowhere else, or where it cannot be told. */
function translationOf(
  tracer: Tracer,
  { owner, endpoint }: OwnEndpoint,
  from: IpAddress,
): { readonly to: string; readonly rule: string } | undefined {
  try {
    const { branches } = tracer.trace({
      ...{ from, to: endpoint.address, port: endpoint.port },
      protocol: owner.port.protocol,
    });
    for (const branch of branches) {
      if (branch.kind !== "decided") continue;
      const { destinationNat } = branch.ended.state;
      if (destinationNat === undefined || destinationNat.isOwn) continue;
      const { address, ports } = branch.outcome.destination;
      if (address === endpoint.address && ports?.from === endpoint.port) continue;
      const at = ports === undefined ? address : `${address.includes(":") ? `[${address}]` : address}:${ports.from}`;
      return { to: at, rule: `${destinationNat.number} of ${destinationNat.table} ${destinationNat.chain}` };
    }
    return undefined;
  } catch (error) {
    // The machine has no way by which such a client comes in.
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
