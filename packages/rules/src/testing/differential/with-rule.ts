import type { Rule, RuleSet } from "../../rule-set.ts";

/** A rule set with one rule more, which a chain that is there asks before its others. */
export function withRule(rules: RuleSet, at: { readonly table: string; readonly chain: string }, rule: Rule): RuleSet {
  return {
    ...rules,
    tables: rules.tables.map((table) =>
      table.name !== at.table
        ? table
        : {
            ...table,
            chains: table.chains.map((chain) =>
              chain.name === at.chain ? { ...chain, rules: [rule, ...chain.rules] } : chain,
            ),
          },
    ),
  };
}
