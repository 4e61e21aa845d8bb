import type { Census } from "@svcproxy/host";
import type { Rule, RuleSet } from "@svcproxy/rules";
import { formatCidr, formatSocketAddress, parsePort } from "@svcproxy/topology";
import { isOwnChain } from "../kernel/own-chains.ts";
import { NODE_PORT_PREFIX, NODE_PORTS } from "../rule-parts/chain-names.ts";

/** What our rules of one family serve, as far as a single address and a DNAT tell it. */
export function censusOfRules({ tables }: RuleSet): Census {
  const vips = new Set<string>();
  const answering = new Set<string>();
  const endpoints = new Set<string>();
  for (const { name: table, chains } of tables) {
    const names = new Map(chains.map((chain) => [chain.name, chain]));
    for (const { name, rules } of chains) {
      if (!isOwnChain(name, names)) continue;
      for (const rule of rules) {
        const endpoint = endpointOf(rule);
        if (endpoint !== undefined) endpoints.add(endpoint);
        // There the destination is an address of the host.
        if (name === NODE_PORTS || name.startsWith(NODE_PORT_PREFIX)) continue;
        for (const vip of vipsOf(rule)) {
          vips.add(vip);
          // One without endpoints is refused in filter, and not asked for in nat.
          if (table === "nat") answering.add(vip);
        }
      }
    }
  }
  return { vips, answering, endpoints };
}

function endpointOf({ target }: Rule): string | undefined {
  if (target.kind !== "dnat") return undefined;
  const { addresses, ports } = target.to;
  const port = parsePort(ports?.from ?? 0);
  return addresses === undefined || port === undefined
    ? undefined
    : formatSocketAddress({ address: addresses.from, port });
}

function vipsOf({ matches }: Rule): readonly string[] {
  return matches.flatMap((match) => {
    if (match.kind !== "destination" || match.negated) return [];
    const [address = "", length] = formatCidr(match.cidr).split("/");
    return length === "32" || length === "128" ? [address] : [];
  });
}
