import type { RuleSet } from "@svcproxy/rules";
import type { Family, Problem } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { SERVICES } from "../rule-parts/chain-names.ts";
import { ownedTable, unplanned } from "./owned-table.ts";

/** Rules in chains with our names in a table that does not say that they are ours: typed by hand, or another program's. */
export interface UnmarkedRules {
  readonly family: Family;
  readonly table: string;
  /** In these chains, and those that lead to them from built-in ones. */
  readonly ruleCount: number;
}

/** What looks like ours and is not marked as ours. A kubelet's few chains of such names do not. */
export function unmarkedRules(saved: readonly RuleSet[]): readonly UnmarkedRules[] {
  return saved.flatMap(({ family, tables }) =>
    tables.flatMap((table): UnmarkedRules[] => {
      const { isMarked, ownChains, builtIn } = ownedTable(table, unplanned(table.name));
      if (isMarked || !ownChains.has(SERVICES)) return [];
      const inChains = [...ownChains.values()].reduce((sum, { rules }) => sum + rules.length, 0);
      const leading = [...builtIn.values()].flat().filter(({ isOurs }) => isOurs).length;
      return [{ family, table: table.name, ruleCount: inChains + leading }];
    }),
  );
}

/** Those of them that a plan has nothing to do with: in tables that it does not use. */
export function unmarkedBeside(saved: readonly RuleSet[], desired: readonly DesiredRules[]): readonly UnmarkedRules[] {
  const used = new Set(desired.flatMap(({ family, tables }) => tables.map(({ name }) => `${family} ${name}`)));
  return unmarkedRules(saved).filter(({ family, table }) => !used.has(`${family} ${table}`));
}

/** That there are some, and how they are taken over or removed. @param variant whose they are */
export function unmarkedProblem(found: readonly UnmarkedRules[], variant: string): Problem {
  const count = found.reduce((sum, { ruleCount }) => sum + ruleCount, 0);
  const places = found.map(({ family, table }) => `${table} (IPv${family})`).join(", ");
  return {
    code: "UNMARKED_RULES",
    severity: "warning",
    subject: `iptables-${variant}`,
    text: `${count} rules of iptables-${variant} look like ours, and nothing says that svcproxy applied them: ${places}`,
    hint: "If they were printed by svcproxy, name their topology: `svcproxy iptables apply TOPOLOGY --host NAME` keeps those that equal the plan, `svcproxy iptables cleanup TOPOLOGY --host NAME` removes them",
  };
}
