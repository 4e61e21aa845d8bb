import { type Chain, type Command, formatRule, type Rule, ruleKey, type Table } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";
import type { DesiredRules, Hook } from "../desired-rules.ts";
import { appendAll } from "../kernel/plan-changes.ts";
import type { ExpectedRule, TableChange } from "../kernel/table-change.ts";

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
    const was = chainsOf(before, table);
    const is = chainsOf(after, table);
    if ((was.size === 0) !== (is.size === 0)) return undefined;
    const change = tableDelta({ was, is }, { table, after });
    if (change === undefined) return undefined;
    if (change.commands.length > 0) changes.push(change);
  }
  return changes;
}

type Chains = ReadonlyMap<string, Chain>;

function tableDelta(
  { was, is }: { readonly was: Chains; readonly is: Chains },
  { table, after }: { readonly table: string; readonly after: DesiredRules },
): TableChange | undefined {
  const { family } = after;
  const added = [...is.values()].filter(({ name }) => !was.has(name));
  const gone = [...was.keys()].filter((name) => !is.has(name));
  const changed = [...is.values()].filter((chain) => {
    const before = was.get(chain.name);
    return before !== undefined && before !== chain && !meansTheSame(before.rules, chain.rules, family);
  });
  const touched = new Set([...added, ...changed].map(({ name }) => name));
  if (touched.size + gone.length > MAX_CHAINS) return undefined;
  const commands: Command[] = [
    ...added.map(({ name }): Command => ({ kind: "newChain", table, chain: name })),
    ...[...changed.map(({ name }) => name), ...gone].map((chain): Command => ({ kind: "flush", table, chain })),
    ...[...added, ...changed].flatMap((chain) => appendAll(table, chain)),
    ...gone.map((chain): Command => ({ kind: "deleteChain", table, chain })),
  ];
  if (commands.length === 0) return { family, table, commands };
  const hooks = after.hooks.filter((hook) => hook.table === table);
  return { family, table, commands, expected: rulesAbove(new Set([...touched, ...gone]), { chains: is, hooks }) };
}

/** The rules of chains that are not touched by which those that are touched are reached from built-in chains. */
function rulesAbove(
  touched: ReadonlySet<string>,
  { chains, hooks }: { readonly chains: Chains; readonly hooks: readonly Hook[] },
): readonly ExpectedRule[] {
  const above = new Set(touched);
  const found: ExpectedRule[] = [];
  // Level by level: there are few, and an index of all jumps would be made for a few of them.
  for (let level: ReadonlySet<string> = touched; level.size > 0; ) {
    const next = new Set<string>();
    const look = (chain: string, rule: Rule) => {
      const { target } = rule;
      if ((target.kind !== "jump" && target.kind !== "goto") || !level.has(target.chain)) return;
      if (!touched.has(chain)) found.push({ chain, rule });
      if (!above.has(chain)) next.add(chain);
    };
    for (const { chain, rule } of hooks) look(chain, rule);
    for (const { name, rules } of chains.values()) for (const rule of rules) look(name, rule);
    for (const chain of next) above.add(chain);
    level = next;
  }
  return found;
}

const knownChains = new WeakMap<Table, Chains>();

/** What was wanted of a table is what was written, the next time. */
function chainsOf({ tables }: DesiredRules, name: string): Chains {
  const [table, ...others] = tables.filter((one) => one.name === name);
  if (table === undefined) return new Map();
  // A note of UDP flows comes as a table of its own.
  if (others.length > 0)
    return new Map([table, ...others].flatMap((one) => one.chains.map((chain) => [chain.name, chain])));
  const chains = knownChains.get(table) ?? new Map(table.chains.map((chain) => [chain.name, chain]));
  knownChains.set(table, chains);
  return chains;
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
