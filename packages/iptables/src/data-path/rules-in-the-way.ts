import { findObstacles, type Surroundings } from "@svcproxy/host";
import {
  applyCommands,
  type Chain,
  type HostRules,
  type IptablesRules,
  type RuleSet,
  type Table,
} from "@svcproxy/rules";
import type { Family, HostPlan, Problem } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { findDifference } from "../kernel/find-difference.ts";
import { ownedTable, unplanned } from "../kernel/owned-table.ts";
import type { RuleStyle } from "../rule-style.ts";

export interface RulesInTheWayInput {
  readonly plan: HostPlan;
  /** All rules of the variant that ours are in, as they are now. */
  readonly after: readonly RuleSet[];
  readonly variant: "nft" | "legacy";
  /** Rules of the other variant, where it holds any. */
  readonly others: readonly RuleSet[];
  readonly surroundings: Surroundings;
  readonly style: RuleStyle;
  readonly compile: (plan: HostPlan, style: RuleStyle) => readonly DesiredRules[];
}

/** What of others' rules defeats the plan, now that its rules are in. */
export function rulesInTheWay(input: RulesInTheWayInput): readonly Problem[] {
  const { plan, style, surroundings, compile } = input;
  const { hostState } = surroundings;
  // With 5,000 services our rules are far more than all others; those of a part of the plan stand for them.
  const asApplied = (part: HostPlan, family: Family) =>
    hostRules(compile(part, style), { ...input, family, put: withOwnChains });
  const otherStyle = { ...style, dialect: "kubernetes" } as const;
  const asKubernetes = (part: HostPlan, family: Family) =>
    hostRules(compile(part, otherStyle), { ...input, family, put: insteadOfOurs });
  return findObstacles({
    ...{ plan, hostState, rules: asApplied },
    forwardHint() {
      if (style.dialect === "kubernetes") return undefined;
      const others = findObstacles({ plan, hostState, rules: asKubernetes });
      const helps = others.every(({ code }) => code === "FOREIGN_DNAT_UNMET");
      return helps ? "apply Kubernetes' own rules, which do so: --dialect kubernetes" : undefined;
    },
  });
}

type PutRules = (rules: RuleSet, desired: DesiredRules) => RuleSet;

function hostRules(
  desired: readonly DesiredRules[],
  {
    after,
    others,
    variant,
    surroundings,
    family,
    put,
  }: RulesInTheWayInput & { readonly family: Family; readonly put: PutRules },
): HostRules {
  const rules = after.find((each) => each.family === family) ?? { family, tables: [] };
  const own = desired.find((each) => each.family === family);
  const rival = others.find((each) => each.family === family);
  const iptables: IptablesRules[] = [
    { variant, rules: own === undefined ? rules : put(rules, own) },
    ...(rival === undefined
      ? []
      : [{ variant: variant === "nft" ? ("legacy" as const) : ("nft" as const), rules: rival }]),
  ];
  return { family, iptables, nft: { tables: surroundings.foreignTables }, unread: [] };
}

/** With other chains of ours, reached as ours are: rules in built-in chains stay where they are. */
function withOwnChains({ family, tables }: RuleSet, desired: DesiredRules): RuleSet {
  return {
    family,
    tables: tables.map((table) => {
      const { ownChains } = ownedTable(table, unplanned(table.name));
      const own = desired.tables.filter(({ name }) => name === table.name).flatMap(({ chains }) => chains);
      const names = new Set(own.map(({ name }) => name));
      const emptied = [...ownChains.keys()].filter((name) => !names.has(name));
      const chains = [...foreignChains(table), ...own, ...emptied.map((name): Chain => ({ name, rules: [] }))];
      return { ...table, chains };
    }),
  };
}

/** As if they were applied in place of ours. */
function insteadOfOurs({ family, tables }: RuleSet, desired: DesiredRules): RuleSet {
  const foreign = {
    family,
    tables: tables.map((table) => {
      const { builtIn } = ownedTable(table, unplanned(table.name));
      const chains = foreignChains(table).map((chain) => {
        const entries = builtIn.get(chain.name);
        return entries === undefined
          ? chain
          : { ...chain, rules: entries.filter(({ isOurs }) => !isOurs).map(({ rule }) => rule) };
      });
      return { ...table, chains };
    }),
  };
  const { changes } = findDifference([foreign], [desired], {});
  return changes.reduce<RuleSet>((rules, { commands }) => applyCommands(rules, commands), foreign);
}

function foreignChains(table: Table): readonly Chain[] {
  const { ownChains, marks } = ownedTable(table, unplanned(table.name));
  return table.chains.filter(({ name }) => !ownChains.has(name) && !marks.has(name));
}
