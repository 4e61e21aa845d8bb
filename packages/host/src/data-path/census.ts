import { formatSocketAddress, type HostPlan } from "@svcproxy/topology";

/** How much is served: what clients dial, and who answers. Enough to tell that most of it is about to go. */
export interface Census {
  /** Addresses, each once. */
  readonly vips: ReadonlySet<string>;
  /** Those of them behind which somebody is who answers: an endpoint may serve hundreds of them. */
  readonly answering: ReadonlySet<string>;
  /** `10.0.0.1:80`, `[fd00::1]:80`, each once. */
  readonly endpoints: ReadonlySet<string>;
}

export const EMPTY_CENSUS: Census = { vips: new Set(), answering: new Set(), endpoints: new Set() };

/**
 * What a plan serves.
 *
 * @param withdrawn endpoints with which no VIP counts as answering
 */
export function censusOf({ ports }: Pick<HostPlan, "ports">, withdrawn: ReadonlySet<string> = new Set()): Census {
  const vips = new Set<string>();
  const answering = new Set<string>();
  const endpoints = new Set<string>();
  for (const { frontends, reachableEndpoints } of ports) {
    const names = reachableEndpoints.map(formatSocketAddress);
    for (const name of names) endpoints.add(name);
    const isAnswering = withdrawn.size === 0 ? names.length > 0 : names.some((name) => !withdrawn.has(name));
    for (const { kind, addresses } of frontends) {
      if (kind === "nodePort") continue;
      for (const vip of addresses) vips.add(vip);
      if (isAnswering) for (const vip of addresses) answering.add(vip);
    }
  }
  return { vips, answering, endpoints };
}

/** What several data paths have together. */
export function joinCensuses(parts: readonly Census[]): Census {
  return {
    vips: new Set(parts.flatMap(({ vips }) => [...vips])),
    answering: new Set(parts.flatMap(({ answering }) => [...answering])),
    endpoints: new Set(parts.flatMap(({ endpoints }) => [...endpoints])),
  };
}
