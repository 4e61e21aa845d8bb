import { formatCidr, formatSocketAddress } from "@svcproxy/topology";
import type { Cause } from "./cause.ts";
import type { ObservedHost } from "./observation.ts";
import type { Leaving } from "./walk/stop.ts";

/** The endpoints (`address:port`) of which some cause says why they are not reached. */
export function explainedEndpoints(
  causes: readonly Cause[],
  { here, leaving }: { readonly here: ObservedHost; readonly leaving: readonly Leaving[] },
): ReadonlySet<string> {
  const all = [
    ...leaving.map(({ endpoint }) => endpoint),
    ...here.plan.ports.flatMap(({ reachableEndpoints }) => reachableEndpoints),
  ];
  const ownRoutes = new Set(here.plan.host.podCIDRs.map((block) => `route to ${formatCidr(block)}`));
  const found = new Set<string>();
  for (const { code, host, subject, endpoints } of causes) {
    for (const endpoint of endpoints ?? []) found.add(endpoint);
    const single = /^endpoint (.+)$/.exec(subject)?.[1];
    if (single !== undefined) found.add(single);
    // What is wrong on another host keeps its endpoints from everybody; what lies between hosts, those of all others, where it does not say which.
    const isBetween = PATH_CODES.has(code) && (endpoints ?? []).length === 0 && !ownRoutes.has(subject);
    for (const endpoint of all)
      if (endpoint.host !== here.name && (host === here.name ? isBetween : endpoint.host === host))
        found.add(formatSocketAddress(endpoint));
  }
  return found;
}

/** Causes that lie between hosts. */
const PATH_CODES: ReadonlySet<string> = new Set([
  ...["ROUTE_MISSING", "LINK_DOWN", "NEIGHBOUR_MISSING", "TUNNEL_ENTRY_MISSING", "TUNNEL_ADDRESS_MOVED"],
  ...["TUNNEL_FILTERED", "TUNNEL_DIFFERS", "TUNNEL_SOURCE_MISSING", "REVERSE_PATH_FILTERED", "HOST_ADDRESS_MISSING"],
]);
