import type { NftChain, NftRuleSet, NftTable } from "../nft/nft-rule-set.ts";
import { chainEffects } from "./chain-effects.ts";
import type { UnreadRules } from "./host-rules.ts";

/**
 * Chains of nftables at the hooks of devices and bridges. They see frames beyond the hooks that are followed: where one of them may stop or
 * change any, what comes in or leaves there is not decided.
 */
export function deviceChains({ tables }: NftRuleSet): readonly UnreadRules[] {
  return tables.flatMap((table) => {
    if (table.isDormant) return [];
    const found = new Map<string, UnreadRules>();
    for (const chain of table.chains) {
      const at = placeOf(table, chain);
      if (at !== undefined && mayMatter(table, chain))
        found.set(at, { table: `${table.family} ${table.name}`, because: because(at, chain), at });
    }
    return [...found.values()];
  });
}

function placeOf({ family }: NftTable, { base }: NftChain): UnreadRules["at"] {
  if (base === undefined) return undefined;
  if (base.hook === "ingress" || base.hook === "egress") return base.hook;
  return family === "bridge" ? "bridge" : undefined;
}

function mayMatter({ chains, unread }: NftTable, { rules, base }: NftChain): boolean {
  const byName = new Map(chains.map((chain) => [chain.name, chain]));
  const effects = chainEffects({ rules, policy: base?.policy === "drop" ? "DROP" : "ACCEPT", chains: byName });
  return effects.changes || effects.refuses || effects.drops || unread.length > 0;
}

function because(at: NonNullable<UnreadRules["at"]>, { name }: NftChain): string {
  const where = at === "bridge" ? "on bridges" : `at the ${at} of devices`;
  return `its chain ${name} stands ${where}, where rules are not followed`;
}
