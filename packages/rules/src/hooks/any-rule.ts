import type { Match } from "../match.ts";
import type { NftRule, NftStatement } from "../nft/nft-rule-set.ts";
import type { Rule } from "../rule-set.ts";

/** A rule of iptables or of nftables. */
export type AnyRule = Rule | NftRule;

/** What decides whether a rule takes a packet: a match of iptables, or a statement of nftables. */
export type AnyMatch = Match | NftStatement;

/** Whether a table of nftables is a service proxy's: kube-proxy's, or our own. */
export function isProxyTable(table: string): boolean {
  return /^ip6? (kube-proxy|svcproxy)$/.test(table);
}

export function isNftRule(rule: AnyRule): rule is NftRule {
  return "statements" in rule;
}
