import { formatSocketAddress, type HostPlan } from "@svcproxy/topology";

/** How much is served: what clients dial, and who answers. Enough to tell that most of it is about to go. */
export interface Census {
  /** Addresses, each once. */
  readonly vips: ReadonlySet<string>;
  /** `10.0.0.1:80`, `[fd00::1]:80`, each once. */
  readonly endpoints: ReadonlySet<string>;
}

export const EMPTY_CENSUS: Census = { vips: new Set(), endpoints: new Set() };

/** What a plan serves. */
export function censusOf({ ports }: Pick<HostPlan, "ports">): Census {
  const vips = new Set<string>();
  const endpoints = new Set<string>();
  for (const { frontends, reachableEndpoints } of ports) {
    for (const { kind, addresses } of frontends) if (kind !== "nodePort") for (const vip of addresses) vips.add(vip);
    for (const endpoint of reachableEndpoints) endpoints.add(formatSocketAddress(endpoint));
  }
  return { vips, endpoints };
}

export function joinCensuses(parts: readonly Census[]): Census {
  return {
    vips: new Set(parts.flatMap(({ vips }) => [...vips])),
    endpoints: new Set(parts.flatMap(({ endpoints }) => [...endpoints])),
  };
}
