import { BUILT_IN_CHAINS, type Chain } from "@svcproxy/rules";
import type { DesiredRules, Hook } from "../desired-rules.ts";
import type { Script, Section } from "./script.ts";

/**
 * What a script leaves behind: our chains, and our rules in the built-in ones.
 *
 * @throws TypeError where it adds to a chain that it has not made, or inserts into one of its own: a bug of the dialect's compiler
 */
export function foldScript({ family, sections }: Script): DesiredRules {
  const tables = new Map<string, GrowingTable>();
  const hooks: Hook[] = [];
  for (const section of sections) {
    const table = tables.get(section.table) ?? new GrowingTable();
    tables.set(section.table, table);
    fold(section, { table, hooks });
  }
  return { family, tables: [...tables].map(([name, table]) => ({ name, chains: table.chains() })), hooks };
}

interface Folding {
  /** The section's. */
  readonly table: GrowingTable;
  readonly hooks: Hook[];
}

function fold({ table: name, newChains = [], inserted = [], appended = [] }: Section, { table, hooks }: Folding): void {
  const builtIn = BUILT_IN_CHAINS[name] ?? [];
  for (const chain of newChains) table.make(chain);
  for (const { chain, rule } of inserted) {
    if (!builtIn.includes(chain)) throw new TypeError(`cannot insert into chain ${chain}`);
    hooks.push({ table: name, chain, rule, placement: "first" });
  }
  for (const chain of appended) {
    if (!builtIn.includes(chain.name)) table.append(chain);
    else for (const rule of chain.rules) hooks.push({ table: name, chain: chain.name, rule, placement: "last" });
  }
}

/** So many places behind the last chain the next one is looked for first: that of one that gets rules twice is a few before it. */
const NEAR = 4;

/**
 * The chains of a table as they are made. Most get all of their rules at once, in the order in which they were made, and are the very chains that the
 * script has: of tens of thousands an index by name would be the larger part of the work.
 */
class GrowingTable {
  readonly #names: string[] = [];
  readonly #chains: (Chain | undefined)[] = [];
  /** Behind the place of the last that got rules. */
  #next = 0;

  make(name: string): void {
    this.#names.push(name);
    this.#chains.push(undefined);
  }

  append(chain: Chain): void {
    const place = this.#placeOf(chain.name);
    const before = this.#chains[place];
    this.#chains[place] = before === undefined ? chain : joinOnce(before, chain);
    this.#next = place + 1;
  }

  #placeOf(name: string): number {
    for (let place = this.#next; place > this.#next - NEAR && place >= 0; place--)
      if (this.#names[place] === name) return place;
    const behind = this.#names.indexOf(name, this.#next);
    const place = behind >= 0 ? behind : this.#names.indexOf(name);
    if (place < 0) throw new TypeError(`cannot add to chain ${name}`);
    return place;
  }

  chains(): readonly Chain[] {
    return this.#chains.map((chain, place) => chain ?? { name: this.#names[place] ?? "", rules: [] });
  }
}

const joined = new WeakMap<Chain, { readonly next: Chain; readonly whole: Chain }>();

/** The very same chain for the same two parts: of most ports both come again with the next plan. */
function joinOnce(first: Chain, next: Chain): Chain {
  const before = joined.get(first);
  if (before?.next === next) return before.whole;
  const whole = { name: first.name, rules: first.rules.concat(next.rules) };
  joined.set(first, { next, whole });
  return whole;
}
