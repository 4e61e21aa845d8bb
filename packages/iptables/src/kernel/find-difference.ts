import { EnvironmentError, type Family } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { isForeign } from "./foreign-chains.ts";
import { compareRules, planChanges } from "./plan-changes.ts";
import type { RuleDifference } from "./rule-backend.ts";
import type { SavedRules } from "./rule-tables.ts";

/**
 * How the rules of a host differ from a plan, and what would make them equal.
 *
 * @throws EnvironmentError TABLE_INCOMPATIBLE
 */
export function findDifference(
  current: readonly SavedRules[],
  desired: readonly DesiredRules[],
  { adopt = false }: { readonly adopt?: boolean },
): RuleDifference {
  const compared = compareFamilies(current, desired, { adopt });
  // Whoever has chains in our way has more of them elsewhere: all that --adopt would take is told.
  const families = !adopt && isForeign(compared) ? compareFamilies(current, desired, { adopt: true }) : compared;
  const changes = families.flatMap(({ family, tables }) => planChanges(tables, family));
  for (const { family, table } of changes) {
    const { unreadable = [] } = current.find((rules) => rules.family === family) ?? {};
    if (unreadable.includes(table)) throw incompatible(table, family);
  }
  return { families, changes };
}

function compareFamilies(
  current: readonly SavedRules[],
  desired: readonly DesiredRules[],
  options: { readonly adopt: boolean },
): RuleDifference["families"] {
  return current.map((rules) => {
    const plan = desired.find(({ family }) => family === rules.family);
    return { family: rules.family, tables: compareRules(rules, plan, options) };
  });
}

function incompatible(table: string, family: Family): EnvironmentError {
  return new EnvironmentError(
    "TABLE_INCOMPATIBLE",
    `Cannot tell what table ${table} (IPv${family}) holds: it has nftables rules that iptables cannot express`,
    { hint: "Move these rules to an nftables table of their own, or try --variant legacy" },
  );
}
