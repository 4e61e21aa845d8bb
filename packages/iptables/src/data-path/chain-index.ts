import type { Chain } from "@svcproxy/rules";

/** Chains that are jumped to from more than so many others are few, and not touched: who jumps to them is looked up among all. */
const MOST_KEPT = 32;
const MANY = Symbol("many");

interface Entry {
  chain: Chain;
  /** The last comparison that had it. */
  seen: number;
}

/** How the chains of a table differ from others. */
export interface ChainDifference {
  readonly added: readonly Chain[];
  readonly changed: readonly Chain[];
  /** Names. */
  readonly gone: readonly string[];
}

/**
 * The chains of a table by their names, and from where each is jumped to. It goes from one list of chains to the next, so that a change of a few among
 * tens of thousands makes no index of all of them.
 */
export class ChainIndex {
  readonly #entries = new Map<string, Entry>();
  /** Names of chains that jump to one. */
  readonly #above = new Map<string, string | Set<string> | typeof MANY>();
  #comparison = 0;

  /** @throws TypeError where two have the same name */
  constructor(chains: Iterable<Chain>) {
    for (const chain of chains) {
      if (this.#entries.has(chain.name)) throw new TypeError(`chain ${chain.name} is made twice`);
      this.#put(chain);
    }
  }

  get(name: string): Chain | undefined {
    return this.#entries.get(name)?.chain;
  }

  /**
   * Has these chains from now on.
   *
   * @param isSame whether two chains of one name, which are not the very same, mean the same
   * @returns what tells them from those that it had
   */
  become(chains: Iterable<Chain>, isSame: (before: Chain, after: Chain) => boolean): ChainDifference {
    const [added, changed, gone]: [Chain[], Chain[], string[]] = [[], [], []];
    this.#comparison++;
    let known = 0;
    const size = this.#entries.size;
    for (const chain of chains) {
      const entry = this.#entries.get(chain.name);
      if (entry === undefined) {
        added.push(chain);
        continue;
      }
      if (entry.seen === this.#comparison) throw new TypeError(`chain ${chain.name} is made twice`);
      entry.seen = this.#comparison;
      known++;
      if (entry.chain === chain) continue;
      if (isSame(entry.chain, chain)) entry.chain = chain;
      else changed.push(chain);
    }
    if (known < size) for (const [name, { seen }] of this.#entries) if (seen !== this.#comparison) gone.push(name);
    for (const name of gone) this.#remove(name);
    for (const { name } of changed) this.#remove(name);
    for (const chain of [...added, ...changed]) this.#put(chain);
    return { added, changed, gone };
  }

  /** The chains that jump to one. */
  *above(name: string): Generator<Chain> {
    const names = this.#above.get(name);
    const holders = names === MANY ? this.#entries.keys() : typeof names === "string" ? [names] : (names ?? []);
    for (const holder of holders) {
      const chain = this.get(holder);
      if (chain?.rules.some(({ target }) => isLeap(target) && target.chain === name)) yield chain;
    }
  }

  #put(chain: Chain): void {
    this.#entries.set(chain.name, { chain, seen: this.#comparison });
    for (const { target } of chain.rules) if (isLeap(target)) this.#noteAbove(target.chain, chain.name);
  }

  #noteAbove(name: string, holder: string): void {
    const names = this.#above.get(name);
    if (names === undefined) this.#above.set(name, holder);
    else if (typeof names === "string") {
      if (names !== holder) this.#above.set(name, new Set([names, holder]));
    } else if (names !== MANY) {
      names.add(holder);
      if (names.size > MOST_KEPT) this.#above.set(name, MANY);
    }
  }

  #remove(name: string): void {
    const { chain } = this.#entries.get(name) ?? {};
    this.#entries.delete(name);
    for (const { target } of chain?.rules ?? []) {
      if (!isLeap(target)) continue;
      const names = this.#above.get(target.chain);
      if (names === name) this.#above.delete(target.chain);
      else if (names instanceof Set) names.delete(name);
    }
  }
}

function isLeap(target: Chain["rules"][number]["target"]): target is Leap {
  return target.kind === "jump" || target.kind === "goto";
}

type Leap = Extract<Chain["rules"][number]["target"], { readonly kind: "jump" | "goto" }>;
