import { entryOf } from "../table/entry-of.ts";
import { type Chain, type Collection, type ElementValue, isSameValue, type NftTable } from "../table/nft-table.ts";
import type { Transaction } from "./transaction.ts";

/** What the kernel has of our table in one family: as it was read, and as it was written since. */
export class TableMirror {
  /** False where there is no table. */
  exists = false;
  isDormant = false;
  readonly collections = new Map<string, Collection>();
  readonly chains = new Map<string, Chain>();
  readonly #elements = new Map<string, ReadonlyMap<string, ElementValue>>();
  /** Those of `elements` that nobody else holds, so that they can be changed. */
  readonly #own = new Map<string, Map<string, ElementValue>>();

  constructor(table?: NftTable) {
    if (table === undefined) return;
    this.exists = true;
    this.isDormant = table.isDormant === true;
    for (const collection of table.collections) this.collections.set(collection.name, collection);
    for (const chain of table.chains) this.chains.set(chain.name, chain);
    for (const [name, elements] of table.elements) this.#elements.set(name, elements);
  }

  elementsOf(collection: string): ReadonlyMap<string, ElementValue> {
    return this.#elements.get(collection) ?? NO_ELEMENTS;
  }

  has(collection: string, key: string, value: ElementValue): boolean {
    const there = this.#elements.get(collection)?.get(key);
    return there !== undefined && isSameValue(there, value);
  }

  /** Takes in what a transaction did. */
  commit(transaction: Transaction): void {
    if (transaction.createsTable) this.exists = true;
    if (transaction.wakesTable === true) this.isDormant = false;
    for (const [collection, keys] of transaction.removedElements) {
      if (this.elementsOf(collection).size === 0) continue;
      const elements = this.#ownElements(collection);
      for (const key of keys) elements.delete(key);
    }
    for (const name of transaction.removedChains) this.chains.delete(name);
    for (const { name } of transaction.removedCollections) {
      this.collections.delete(name);
      this.#setElements(name, NO_ELEMENTS);
    }
    for (const collection of transaction.addedCollections) this.collections.set(collection.name, collection);
    for (const chain of [...transaction.addedChains, ...transaction.rewrittenChains])
      this.chains.set(chain.name, chain);
    for (const [collection, added] of transaction.addedElements) {
      if (this.elementsOf(collection).size === 0) {
        this.#setElements(collection, added);
        continue;
      }
      const elements = this.#ownElements(collection);
      for (const [key, value] of added) elements.set(key, value);
    }
  }

  #setElements(collection: string, elements: ReadonlyMap<string, ElementValue>): void {
    this.#own.delete(collection);
    if (elements.size === 0) this.#elements.delete(collection);
    else this.#elements.set(collection, elements);
  }

  /** Copied when they change for the first time: what was read or written in one piece has other holders. */
  #ownElements(collection: string): Map<string, ElementValue> {
    const own = entryOf(this.#own, collection, () => new Map(this.elementsOf(collection)));
    this.#elements.set(collection, own);
    return own;
  }
}

const NO_ELEMENTS: ReadonlyMap<string, ElementValue> = new Map();
