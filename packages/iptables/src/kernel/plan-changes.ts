import type { Chain, Command, RuleSet } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { compareTable, type TableComparison } from "./compare-table.ts";
import { isMark } from "./own-chains.ts";
import { ownedTable, unplanned } from "./owned-table.ts";
import type { TableChange } from "./table-change.ts";

/** How the kernel's rules of one family differ from the plan, table by table. */
export function compareRules(
  current: RuleSet,
  desired: DesiredRules | undefined,
  { adopt = false }: { readonly adopt?: boolean } = {},
): readonly TableComparison[] {
  return tablesInPlay(current, desired, adopt).map((name) => {
    const hooks = (desired?.hooks ?? []).filter((hook) => hook.table === name);
    const table = current.tables.find((candidate) => candidate.name === name);
    const planned = (desired?.tables ?? []).filter((candidate) => candidate.name === name);
    const chains = new Set(planned.flatMap((candidate) => candidate.chains.map((chain) => chain.name)));
    return compareTable(ownedTable(table, { name, chains, hooks }), desired);
  });
}

/** Tables of the plan, then those that hold our marker. Elsewhere nothing is ours. */
function tablesInPlay(current: RuleSet, desired: DesiredRules | undefined, adopt: boolean): readonly string[] {
  const planned = [
    ...(desired?.tables ?? []).filter(({ chains }) => chains.length > 0).map(({ name }) => name),
    ...(desired?.hooks ?? []).map(({ table }) => table),
  ];
  const owned = current.tables.filter((table) => {
    const { marks, ownChains } = ownedTable(table, unplanned(table.name));
    return marks.size > 0 || (adopt && ownChains.size > 0);
  });
  return [...new Set([...planned, ...owned.map(({ name }) => name)])];
}

/**
 * The changes that make our rules equal to the plan, for each table that needs one: only chains that differ are rewritten,
 * so that the others keep their counters, and nothing that is not ours is named.
 */
export function planChanges(comparisons: readonly TableComparison[], family: Family): readonly TableChange[] {
  return comparisons.flatMap((comparison) => {
    const commands = changeTable(comparison);
    return commands.length === 0 ? [] : [{ family, table: comparison.table.name, commands }];
  });
}

function changeTable(comparison: TableComparison): readonly Command[] {
  const { missingMarks, surplusMarks, missingChains, extraChains, changedChains, placements } = comparison;
  const table = comparison.table.name;
  const changed = changedChains.map(({ planned }) => planned);
  // Where a foreign rule jumps to a chain, the kernel lets nobody delete it: then it stays, empty.
  const emptied = extraChains.filter(({ chain, heldBy }) => heldBy === undefined || chain.rules.length > 0);
  const deletable = extraChains.filter(({ chain, heldBy }) => heldBy === undefined && !isMark(chain.name));
  return [
    ...missingMarks.map((chain): Command => ({ kind: "newChain", table, chain })),
    ...missingChains.map(({ name }): Command => ({ kind: "newChain", table, chain: name })),
    ...[...changed, ...emptied.map(({ chain }) => chain)].map(
      ({ name }): Command => ({ kind: "flush", table, chain: name }),
    ),
    ...[...placements].flatMap(([chain, { deletions }]) =>
      deletions.map((rule): Command => ({ kind: "delete", table, chain, rule })),
    ),
    ...[...missingChains, ...changed].flatMap((chain) => appendAll(table, chain)),
    ...[...placements].flatMap(([chain, { insertions }]) =>
      insertions.map(
        ({ position, rule }): Command =>
          position === undefined
            ? { kind: "append", table, chain, rule }
            : { kind: "insert", table, chain, position, rule },
      ),
    ),
    ...[...deletable.map(({ chain }) => chain.name), ...surplusMarks].map(
      (chain): Command => ({ kind: "deleteChain", table, chain }),
    ),
  ];
}

export function appendAll(table: string, { name, rules }: Chain): readonly Command[] {
  return rules.map((rule) => ({ kind: "append", table, chain: name, rule }));
}
