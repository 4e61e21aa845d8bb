import type { Chain, Rule, RuleSet } from "../../rule-set.ts";

/** Takes rules, matches and policies away as long as the disagreement stays. */
export async function shrinkRules<Case extends { readonly rules: RuleSet }>(
  failed: Case,
  stillFails: (smaller: Case) => Promise<boolean>,
): Promise<Case> {
  let best = failed;
  for (let progress = true; progress; ) {
    progress = false;
    for (const rules of smallerRuleSets(best.rules)) {
      const smaller = { ...best, rules };
      if (!(await stillFails(smaller))) continue;
      best = smaller;
      progress = true;
      break;
    }
  }
  return best;
}

function* smallerRuleSets(rules: RuleSet): Generator<RuleSet> {
  for (const [tableIndex, table] of rules.tables.entries()) {
    const withChains = (chains: readonly Chain[]): RuleSet => ({
      ...rules,
      tables: rules.tables.map((one, index) => (index === tableIndex ? { ...one, chains } : one)),
    });
    if (table.chains.some((chain) => chain.rules.length > 0 || chain.policy === undefined))
      yield withChains(
        table.chains.filter(({ policy }) => policy !== undefined).map((chain) => ({ ...chain, rules: [] })),
      );
    for (const [chainIndex, chain] of table.chains.entries()) {
      const withChain = (changed: Chain) =>
        withChains(table.chains.map((one, index) => (index === chainIndex ? changed : one)));
      if (chain.policy === "DROP") yield withChain({ ...chain, policy: "ACCEPT" });
      for (const smaller of smallerLists(chain.rules)) yield withChain({ ...chain, rules: smaller });
    }
  }
}

function* smallerLists(rules: readonly Rule[]): Generator<readonly Rule[]> {
  if (rules.length > 1) yield [];
  for (const [index, rule] of rules.entries()) {
    yield rules.filter((_, at) => at !== index);
    for (const match of rule.matches.keys()) {
      const changed = { ...rule, matches: rule.matches.filter((_, at) => at !== match) };
      yield rules.map((one, at) => (at === index ? changed : one));
    }
  }
}
