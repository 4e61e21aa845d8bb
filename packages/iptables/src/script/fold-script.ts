import { BUILT_IN_CHAINS, type Chain } from "@svcproxy/rules";
import type { DesiredRules, Hook } from "../desired-rules.ts";
import type { Script, Section } from "./script.ts";

/**
 * What a script leaves behind: our chains, and our rules in the built-in ones.
 *
 * @throws TypeError where it names a chain that it has not made, or inserts into one of its own: a bug of the dialect's compiler
 */
export function foldScript({ family, sections }: Script): DesiredRules {
  const tables = new Map<string, GrowingChains>();
  const hooks: Hook[] = [];
  for (const section of sections) {
    const { table } = section;
    let chains = tables.get(table);
    if (chains === undefined) {
      chains = new Map();
      tables.set(table, chains);
    }
    fold(section, { chains, hooks });
  }
  return {
    family,
    tables: [...tables].map(([name, chains]) => ({
      name,
      chains: Array.from(chains, ([chain, made]) => made ?? { name: chain, rules: [] }),
    })),
    hooks,
  };
}

/** What a chain has so far; undefined: no rule yet. Most get all of theirs at once, and are the very chains that the script has. */
type GrowingChains = Map<string, Chain | undefined>;

interface Folding {
  /** Those of the section's table. */
  readonly chains: GrowingChains;
  readonly hooks: Hook[];
}

function fold({ table, newChains = [], inserted = [], appended = [] }: Section, { chains, hooks }: Folding): void {
  for (const name of newChains) {
    if (chains.has(name)) throw new TypeError(`chain ${name} is made twice`);
    chains.set(name, undefined);
  }
  for (const { chain, rule } of inserted) {
    if (!isBuiltIn(table, chain)) throw new TypeError(`cannot insert into chain ${chain}`);
    hooks.push({ table, chain, rule, placement: "first" });
  }
  for (const chain of appended) {
    const { name, rules } = chain;
    const before = chains.get(name);
    if (isBuiltIn(table, name)) for (const rule of rules) hooks.push({ table, chain: name, rule, placement: "last" });
    else if (before !== undefined) chains.set(name, { name, rules: [...before.rules, ...rules] });
    else if (chains.has(name)) chains.set(name, chain);
    else throw new TypeError(`cannot add to chain ${name}`);
  }
}

function isBuiltIn(table: string, chain: string): boolean {
  return BUILT_IN_CHAINS[table]?.includes(chain) === true;
}
