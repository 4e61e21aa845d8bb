import { entryOf } from "../table/entry-of.ts";
import { type Chain, type Collection, type ElementValue, isSameValue, type NftTable } from "../table/nft-table.ts";
import type { Transaction } from "./transaction.ts";

/** What the kernel has of our table in one family: as it was read, and as it was written since. */
export class TableMirror {
  /** False where there is no table. */
  exists = false;
  readonly collections = new Map<string, Collection>();
  readonly chains = new Map<string, Chain>();
  readonly #elements = new Map<string, Map<string, ElementValue>>();

  constructor(table?: NftTable) {
    if (table === undefined) return;
    this.exists = true;
    for (const collection of table.collections) this.collections.set(collection.name, collection);
    for (const chain of table.chains) this.chains.set(chain.name, chain);
    for (const [name, elements] of table.elements) this.#elements.set(name, new Map(elements));
  }

  elementsOf(collection: string): ReadonlyMap<string, ElementValue> {
    return this.#elements.get(collection) ?? NO_ELEMENTS;
  }

  /** The names of the collections that hold something. */
  get filled(): Iterable<string> {
    return this.#elements.keys();
  }

  has(collection: string, key: string, value: ElementValue): boolean {
    const there = this.#elements.get(collection)?.get(key);
    return there !== undefined && isSameValue(there, value);
  }

  /** Takes in what a transaction did. */
  commit(transaction: Transaction): void {
    if (transaction.createsTable) this.exists = true;
    for (const [collection, keys] of transaction.removedElements) {
      const elements = this.#elements.get(collection);
      for (const key of keys) elements?.delete(key);
    }
    for (const name of transaction.removedChains) this.chains.delete(name);
    for (const { name } of transaction.removedCollections) {
      this.collections.delete(name);
      this.#elements.delete(name);
    }
    for (const collection of transaction.addedCollections) this.collections.set(collection.name, collection);
    for (const chain of [...transaction.addedChains, ...transaction.rewrittenChains])
      this.chains.set(chain.name, chain);
    for (const [collection, added] of transaction.addedElements) {
      const elements = entryOf(this.#elements, collection, () => new Map<string, ElementValue>());
      for (const [key, value] of added) elements.set(key, value);
    }
  }
}

const NO_ELEMENTS: ReadonlyMap<string, ElementValue> = new Map();
