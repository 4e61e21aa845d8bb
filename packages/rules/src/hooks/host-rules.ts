import type { Family } from "@svcproxy/topology";
import type { NftRuleSet } from "../nft/nft-rule-set.ts";
import type { RuleSet } from "../rule-set.ts";

/** All that the kernel asks packets of one family: the rules of every program that a host may keep some in. */
export interface HostRules {
  readonly family: Family;
  /** iptables' rules, a set for each of its variants that holds any. */
  readonly iptables: readonly IptablesRules[];
  /** What nftables has besides: tables that iptables-nft keeps are not in it where they are in `iptables`. */
  readonly nft: NftRuleSet;
  /** Rules that the kernel asks and nobody could read. */
  readonly unread: readonly UnreadRules[];
}

export interface IptablesRules {
  /** Undefined: not known, then `legacy`. */
  readonly variant: "legacy" | "nft" | undefined;
  readonly rules: RuleSet;
}

export interface UnreadRules {
  /** As people call it: `filter`, `ip nat`. */
  readonly table: string;
  /** Why they were not read, in half a sentence. */
  readonly because: string;
  /** Set where they are known but not followed: what comes in by a device, what leaves by one, or what a bridge passes on. */
  readonly at?: "ingress" | "egress" | "bridge";
}

const NO_NFT: NftRuleSet = { tables: [] };

/** A rule set of iptables alone is all of a host's rules. */
export function hostRulesOf(rules: RuleSet | HostRules): HostRules {
  if ("iptables" in rules) return rules;
  return { family: rules.family, iptables: [{ variant: undefined, rules }], nft: NO_NFT, unread: [] };
}
