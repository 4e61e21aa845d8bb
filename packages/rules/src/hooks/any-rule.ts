import type { Match } from "../match.ts";
import type { NftRule, NftStatement } from "../nft/nft-rule-set.ts";
import type { Rule, RulePosition } from "../rule-set.ts";

/** A rule of iptables or of nftables. */
export type AnyRule = Rule | NftRule;

/** A rule and where it stands. */
export interface PlacedRule extends RulePosition {
  readonly rule: AnyRule;
}

/** What decides whether a rule takes a packet: a match of iptables, or a statement of nftables. */
export type AnyMatch = Match | NftStatement;

/** Whether a table of nftables is a service proxy's: kube-proxy's, or our own. */
export function isProxyTable(table: string): boolean {
  return /^ip6? (kube-proxy|svcproxy)$/.test(table);
}

/** Whether it is a rule of nftables, and none of iptables. */
export function isNftRule(rule: AnyRule): rule is NftRule {
  return "statements" in rule;
}
