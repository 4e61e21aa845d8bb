import { BUILT_IN_CHAINS, type Chain, type Rule, type RuleSet } from "@svcproxy/rules";
import type { DesiredRules } from "./desired-rules.ts";

/** The rules of a host that has ours and nothing else: the hooks stand in the built-in chains, whose policy is ACCEPT. */
export function fullRuleSet({ family, tables, hooks }: DesiredRules): RuleSet {
  return {
    family,
    tables: tables.map((table) => ({
      name: table.name,
      chains: [
        ...(BUILT_IN_CHAINS[table.name] ?? []).map((name): Chain => {
          const rules: Rule[] = [];
          for (const hook of hooks) {
            if (hook.table !== table.name || hook.chain !== name) continue;
            if (hook.placement === "first") rules.unshift(hook.rule);
            else rules.push(hook.rule);
          }
          return { name, policy: "ACCEPT", rules };
        }),
        ...table.chains,
      ],
    })),
  };
}
