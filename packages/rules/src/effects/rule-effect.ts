import type { Match } from "../match.ts";
import type { Rule, RuleSet, Table } from "../rule-set.ts";
import type { Target } from "../target.ts";
import { changesWay } from "./effect.ts";
import { matchEffect } from "./match-effect.ts";
import { targetEffect } from "./target-effect.ts";

/** Whether a match is asked before all extensions. */
export function isHeaderMatch(match: Match): boolean {
  return matchEffect(match).isHeader;
}

/** Whether asking a match changes what a later packet or match gets, so that what is asked before it matters. */
export function isBarrier(match: Match): boolean {
  const { certainty, changes } = matchEffect(match);
  return certainty === "stateful" || certainty === "unknown" || changes.length > 0;
}

/** Whether two askings of the same match of the same packet may answer differently. */
export function isVolatile(match: Match): boolean {
  return matchEffect(match).certainty !== "pure";
}

/** Whether a packet is the same, and goes on, whether the target took it or not. */
export function isIdle(target: Target): boolean {
  const effect = targetEffect(target);
  return effect.next === "goesOn" && !changesWay(effect);
}

/**
 * The tables that packets come by. The nat table is asked about tracked connections only, and the kernel does not track any
 * before some rule of the family needs it to; what only marks or drops in the nat table is not such a rule.
 *
 * @see linux net/netfilter/nf_conntrack_proto.c (nf_ct_netns_get), nf_nat_core.c (nf_nat_inet_fn)
 */
export function visitedTables({ tables }: RuleSet): readonly Table[] {
  const isTracked = tables.some(({ chains }) => chains.some(({ rules }) => rules.some(needsTracking)));
  return isTracked ? tables : tables.filter(({ name }) => name !== "nat");
}

function needsTracking({ matches, target }: Rule): boolean {
  return targetEffect(target).tracks || matches.some((match) => matchEffect(match).tracks);
}
