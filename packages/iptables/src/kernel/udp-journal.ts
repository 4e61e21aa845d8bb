import type { Chain, Rule, RuleSet } from "@svcproxy/rules";
import { type Family, parseIpAddress, parsePort, parseSocketAddress } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { destination, destinationPort, hostCidr, protocolMatch } from "../rule-parts/matches.ts";
import { dnat } from "../rule-parts/targets.ts";
import { GONE_UDP } from "./own-chains.ts";
import { frontendsOf, type UdpFrontends } from "./udp-flows.ts";

/**
 * The plan with, in the same change of the nat table, a note of the UDP frontends and endpoints that it takes away.
 *
 * Only these tell the flows of what is gone from anybody else's. A run that is killed between its change and the
 * deletion of the flows leaves the note behind, and the next run goes by it; a run that ends well takes it away again. It
 * is a chain of rules that nothing jumps to.
 *
 * @param before our own rules as they are, a note that a killed run left among them
 * @returns `desired` itself where nothing is to be noted
 */
export function withJournal(desired: readonly DesiredRules[], before: readonly RuleSet[]): readonly DesiredRules[] {
  return before.reduce((plans, { family, ...rules }) => {
    const plan = plans.find((candidate) => candidate.family === family) ?? { family, tables: [], hooks: [] };
    const journal = journalOf(frontendsOf({ family, ...rules }), frontendsOf(plan));
    if (journal.rules.length === 0) return plans;
    const noted: DesiredRules = { ...plan, tables: [...plan.tables, { name: "nat", chains: [journal] }] };
    return [...plans.filter((candidate) => candidate !== plan), noted].sort(byFamily);
  }, desired);
}

function byFamily(a: { family: Family }, b: { family: Family }): number {
  return a.family - b.family;
}

function journalOf(before: UdpFrontends, after: UdpFrontends): Chain {
  const rules = [...before.endpoints]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([frontend, endpoints]) => {
      // Of a frontend that stays too: it may be gone by the time when the next run looks.
      const gone = [...endpoints].filter((endpoint) => after.endpoints.get(frontend)?.has(endpoint) !== true);
      return gone.sort().flatMap((endpoint) => noteOf(frontend, endpoint));
    });
  return { name: GONE_UDP, rules };
}

/** As the rule reads that would send the frontend to this endpoint alone. */
function noteOf(frontend: string, endpoint: string): readonly Rule[] {
  const colon = frontend.lastIndexOf(":");
  const address = parseIpAddress(frontend.slice(0, colon));
  const port = parsePort(Number(frontend.slice(colon + 1)));
  const server = parseSocketAddress(endpoint);
  if (port === undefined || server === undefined) return [];
  const matches = [
    ...(address === undefined ? [] : [destination(hostCidr(address))]),
    ...[protocolMatch("udp"), destinationPort("udp", port)],
  ];
  return [{ matches, target: dnat(server) }];
}
