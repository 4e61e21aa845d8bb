import type { Match, Rule, RuleSet, Table, Target } from "../rule-set.ts";

/**
 * The tables that packets come by. The nat table is asked about tracked connections only, and the kernel does not track any
 * before some rule of the family needs it to; what only marks or drops in the nat table is no such rule.
 *
 * @see linux net/netfilter/nf_conntrack_proto.c (nf_ct_netns_get), nf_nat_core.c (nf_nat_inet_fn)
 */
export function visitedTables({ tables }: RuleSet): readonly Table[] {
  const isTracked = tables.some(({ chains }) => chains.some(({ rules }) => rules.some(needsTracking)));
  return isTracked ? tables : tables.filter(({ name }) => name !== "nat");
}

const TRACKING_MATCHES: ReadonlySet<Match["kind"]> = new Set(["conntrack", "state", "connmark", "unknown"]);

const TRACKING_TARGETS: ReadonlySet<Target["kind"]> = new Set([
  ...(["dnat", "snat", "masquerade", "redirect"] as const),
  ...(["connmark", "ct", "unknown"] as const),
]);

/** An extension that we do not know may need it, too. */
function needsTracking({ matches, target }: Rule): boolean {
  if (target.kind === "ct" && target.notrack) return false;
  return TRACKING_TARGETS.has(target.kind) || matches.some(({ kind }) => TRACKING_MATCHES.has(kind));
}
