import { type Command, formatRule, type Rule, ruleKey, type Table } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";
import type { DesiredRules, Hook } from "../desired-rules.ts";
import { appendAll } from "../kernel/plan-changes.ts";
import type { ExpectedRule, TableChange } from "../kernel/table-change.ts";
import { ChainIndex } from "./chain-index.ts";

/**
 * A change of more chains than this is as well made after a look, which finds what others did too. It is more than changes bring while a look
 * is taken, of which each is some five chains: else one look would follow the other for as long as change follows change.
 */
const MAX_CHAINS = 4_000;

/**
 * The changes that lead from rules that were written to others, without a look at the kernel. Each expects the rules by which the
 * chains that it writes are reached; where another program took those away, the kernel refuses it.
 *
 * @returns undefined where it takes a look: built-in chains or marks would change, a table would come or go, or it is a large change
 */
export function ruleDelta(
  written: readonly DesiredRules[],
  wanted: readonly DesiredRules[],
): readonly TableChange[] | undefined {
  if (written.length !== wanted.length) return undefined;
  const changes: TableChange[] = [];
  for (const rules of wanted) {
    const before = written.find(({ family }) => family === rules.family);
    const deltas = before === undefined ? undefined : familyDelta(before, rules);
    if (deltas === undefined) return undefined;
    changes.push(...deltas);
  }
  return changes;
}

function familyDelta(before: DesiredRules, after: DesiredRules): readonly TableChange[] | undefined {
  if (!sameHooks(before, after)) return undefined;
  const tables = new Set([...before.tables, ...after.tables].map(({ name }) => name));
  const changes: TableChange[] = [];
  for (const table of tables) {
    const change = tableDelta(table, { before, after });
    if (change === undefined) return undefined;
    if (change.commands.length > 0) changes.push(change);
  }
  return changes;
}

function tableDelta(
  table: string,
  { before, after }: { readonly before: DesiredRules; readonly after: DesiredRules },
): TableChange | undefined {
  const { family } = after;
  const [was, is] = [before, after].map(({ tables }) => tables.filter(({ name }) => name === table));
  if (was === undefined || is === undefined || hasChains(was) !== hasChains(is)) return undefined;
  const index = takeIndex(was);
  const { added, changed, gone } = index.become(
    is.flatMap(({ chains }) => chains),
    (one, other) => meansTheSame(one.rules, other.rules, family),
  );
  if (added.length + changed.length + gone.length > MAX_CHAINS) return undefined;
  keepIndex(is, index);
  const commands: Command[] = [
    ...added.map(({ name }): Command => ({ kind: "newChain", table, chain: name })),
    ...[...changed.map(({ name }) => name), ...gone].map((chain): Command => ({ kind: "flush", table, chain })),
    ...[...added, ...changed].flatMap((chain) => appendAll(table, chain)),
    ...gone.map((chain): Command => ({ kind: "deleteChain", table, chain })),
  ];
  if (commands.length === 0) return { family, table, commands };
  const touched = new Set([...[...added, ...changed].map(({ name }) => name), ...gone]);
  const hooks = after.hooks.filter((hook) => hook.table === table);
  return { family, table, commands, expected: rulesAbove(touched, { index, hooks }) };
}

/** The rules of chains that are not touched by which those that are touched are reached from built-in chains. */
function rulesAbove(
  touched: ReadonlySet<string>,
  { index, hooks }: { readonly index: ChainIndex; readonly hooks: readonly Hook[] },
): readonly ExpectedRule[] {
  const above = new Set(touched);
  const found: ExpectedRule[] = [];
  for (let level: ReadonlySet<string> = touched; level.size > 0; ) {
    const leadsToLevel = ({ target }: Rule) =>
      (target.kind === "jump" || target.kind === "goto") && level.has(target.chain);
    for (const { chain, rule } of hooks) if (leadsToLevel(rule)) found.push({ chain, rule });
    const holders = new Map(
      [...level].flatMap((name) => Array.from(index.above(name), (chain) => [chain.name, chain])),
    );
    for (const { name, rules } of holders.values()) {
      if (touched.has(name)) continue;
      for (const rule of rules) if (leadsToLevel(rule)) found.push({ chain: name, rule });
    }
    level = new Set([...holders.keys()].filter((name) => !above.has(name)));
    for (const name of level) above.add(name);
  }
  return found;
}

/** By the last of the tables that it is an index of: a note of UDP flows comes as a table of its own. */
const indexes = new WeakMap<Table, ChainIndex>();

/** What was wanted is what was written, the next time. */
function takeIndex(tables: readonly Table[]): ChainIndex {
  const last = tables.at(-1);
  const known = last === undefined ? undefined : indexes.get(last);
  if (last !== undefined) indexes.delete(last);
  return known ?? new ChainIndex(tables.flatMap(({ chains }) => chains));
}

function keepIndex(tables: readonly Table[], index: ChainIndex): void {
  const last = tables.at(-1);
  if (last !== undefined) indexes.set(last, index);
}

function hasChains(tables: readonly Table[]): boolean {
  return tables.some(({ chains }) => chains.length > 0);
}

function sameHooks(before: DesiredRules, after: DesiredRules): boolean {
  const keysOf = ({ hooks }: DesiredRules) =>
    hooks.map(({ table, chain, placement, rule }) => [table, chain, placement, ruleKey(rule)].join(" ")).join("\n");
  return keysOf(before) === keysOf(after);
}

/** Of most services the very same rules; else their text first, because that is quick, and mostly the same. */
function meansTheSame(a: readonly Rule[], b: readonly Rule[], family: Family): boolean {
  if (a.length !== b.length) return false;
  return a.every((rule, index) => {
    const other = b[index];
    if (rule === other) return true;
    if (other === undefined) return false;
    const text = (each: Rule) => formatRule(each, { style: "restore", family });
    return text(rule) === text(other) || ruleKey(rule) === ruleKey(other);
  });
}
