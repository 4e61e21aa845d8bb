import { BUILT_IN_CHAINS, type Chain, type Rule, type RuleSet, type Table } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";
import type { RuleStyle } from "./rule-style.ts";

/** What a dialect makes of a HostPlan for one family. */
export interface DesiredRules {
  readonly family: Family;
  /** Our own chains only, in the order in which they are written. */
  readonly tables: readonly Table[];
  /** Our rules in the built-in chains, in the order in which they are written. */
  readonly hooks: readonly Hook[];
  /** Noted beside them, so that whoever finds the rules knows how they were written. */
  readonly style?: RuleStyle;
}

/** A rule of ours in a built-in chain. */
export interface Hook {
  readonly table: string;
  readonly chain: string;
  readonly rule: Rule;
  /** `first`: written by `-I CHAIN 1`; `last`: by `-A`. */
  readonly placement: "first" | "last";
}

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
