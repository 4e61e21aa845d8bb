import { type Chain, type Command, type Rule, type RuleSet, ruleKey, type Table } from "@svcproxy/rules";
import { findHolders } from "./compare-table.ts";
import { type BuiltInEntry, ownedTable, unplanned } from "./owned-table.ts";
import { appendAll } from "./plan-changes.ts";
import type { TableChange } from "./table-change.ts";

/**
 * The change that gives a table the rules of ours that it had before: chains, marks, and rules in built-in chains at the
 * places where they stood. Counters start anew. A new chain that a foreign rule jumps to by now stays, empty.
 *
 * @returns undefined where nothing is to be put back
 */
export function planRollback(
  table: string,
  { now, before }: { now: RuleSet; before: RuleSet },
): TableChange | undefined {
  const present = ownedTable(tableOf(now, table), unplanned(table));
  const past = ownedTable(tableOf(before, table), unplanned(table));
  const lostMarks = [...past.marks].filter((mark) => !present.marks.has(mark));
  const lost = [...past.ownChains.values()].filter(({ name }) => !present.chains.has(name));
  const changed = [...past.ownChains.values()].filter((chain) => {
    const current = present.chains.get(chain.name);
    return current !== undefined && !sameRules(current, chain);
  });
  const surplus = [...new Set([...present.ownChains.keys(), ...present.marks])].filter(
    (name) => !past.chains.has(name),
  );
  const holders = findHolders(present);
  const emptied = surplus.filter((name) => !holders.has(name) || present.chains.get(name)?.rules.length !== 0);
  const touched = [...new Set([...past.builtIn.keys(), ...present.builtIn.keys()])]
    .map((chain) => ({ chain, was: past.builtIn.get(chain) ?? [], is: present.builtIn.get(chain) ?? [] }))
    .filter(({ was, is }) => was.length !== is.length || was.some(({ key }, index) => key !== is[index]?.key));
  const commands = [
    ...[...lostMarks, ...lost.map(({ name }) => name)].map((chain): Command => ({ kind: "newChain", table, chain })),
    ...[...changed.map(({ name }) => name), ...emptied].map((chain): Command => ({ kind: "flush", table, chain })),
    ...touched.flatMap(({ chain, is }) =>
      is.filter(({ isOurs }) => isOurs).map(({ rule }): Command => ({ kind: "delete", table, chain, rule })),
    ),
    ...[...lost, ...changed].flatMap((chain) => appendAll(table, chain)),
    ...touched.flatMap(({ chain, was, is }) =>
      insertAgain(was, is).map((insertion): Command => ({ kind: "insert", table, chain, ...insertion })),
    ),
    ...surplus.filter((name) => !holders.has(name)).map((chain): Command => ({ kind: "deleteChain", table, chain })),
  ];
  return commands.length === 0 ? undefined : { family: now.family, table, commands };
}

function insertAgain(
  was: readonly BuiltInEntry[],
  is: readonly BuiltInEntry[],
): readonly { rule: Rule; position: number }[] {
  // What somebody typed by hand was not ours when we came: by now it may be, so what is deleted counts, not whose it was.
  const deleted = new Set(is.filter(({ isOurs }) => isOurs).map(({ key }) => key));
  const standing = new Map<string, number>();
  for (const { key, isOurs } of is) if (!isOurs) standing.set(key, (standing.get(key) ?? 0) + 1);
  let length = is.filter(({ isOurs }) => !isOurs).length;
  return was.flatMap(({ rule, key, isOurs }, index) => {
    const copies = standing.get(key) ?? 0;
    standing.set(key, copies - 1);
    if (copies > 0 || !(isOurs || deleted.has(key))) return [];
    length += 1;
    // Another program may have taken foreign rules away meanwhile.
    return [{ rule, position: Math.min(index + 1, length) }];
  });
}

function tableOf(rules: RuleSet, name: string): Table | undefined {
  return rules.tables.find((table) => table.name === name);
}

function sameRules(a: Chain, b: Chain): boolean {
  return (
    a.rules.length === b.rules.length &&
    a.rules.every((rule, index) => {
      const other = b.rules[index];
      return other !== undefined && ruleKey(rule, { withComments: true }) === ruleKey(other, { withComments: true });
    })
  );
}
