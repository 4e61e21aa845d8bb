import { isIptablesTable, withoutBackwardRange, withoutTranslation } from "./iptables-table.ts";
import type { NftChain, NftFamily, NftRule, NftSet, NftTable, NftUnread } from "./nft-rule-set.ts";

/** A table that is being read. */
export class TableBuilder {
  readonly family: NftFamily;
  readonly name: string;
  isDormant = false;
  readonly #chains = new Map<string, NftChain>();
  readonly #sets = new Map<string, NftSet>();
  readonly #unread: NftUnread[] = [];

  constructor(family: NftFamily, name: string) {
    this.family = family;
    this.name = name;
  }

  setOf(name: string): NftSet | undefined {
    return this.#sets.get(name);
  }

  /** Takes the place of an earlier set of the same name. */
  addSet(set: NftSet): void {
    this.#sets.set(set.name, set);
  }

  /** Rules of a chain that is there already stand behind its own. */
  addChain(chain: NftChain): void {
    const known = this.#chains.get(chain.name);
    const base = chain.base ?? known?.base;
    this.#chains.set(chain.name, {
      name: chain.name,
      ...(base === undefined ? {} : { base }),
      rules: known === undefined ? chain.rules : [...known.rules, ...chain.rules],
    });
  }

  addUnread(text: string, because: string): void {
    this.#unread.push({ text, because });
  }

  build(): NftTable {
    const written = writtenSets(this.#chains.values());
    for (const name of written) {
      const set = this.#sets.get(name);
      // nft's JSON does not say which sets rules may write.
      if (set !== undefined && !set.isDynamic) this.#sets.set(name, { ...set, isDynamic: true });
    }
    const isIptables = isIptablesTable({ family: this.family, name: this.name, chains: this.#chains.values() });
    const asMeant = (rule: NftRule) =>
      isIptables ? withoutTranslation(rule, this.family) : withoutBackwardRange(rule);
    return {
      family: this.family,
      name: this.name,
      isDormant: this.isDormant,
      chains: [...this.#chains.values()].map((chain) => ({ ...chain, rules: chain.rules.map(asMeant) })),
      sets: this.#sets,
      unread: this.#unread,
    };
  }
}

function writtenSets(chains: Iterable<NftChain>): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { rules } of chains) {
    for (const { statements } of rules)
      for (const statement of statements) if (statement.kind === "update") names.add(statement.set);
  }
  return names;
}
