import type { Family } from "@svcproxy/topology";
import { entryOf } from "../table/entry-of.ts";
import type { Chain, Collection, Element, ElementValue } from "../table/nft-table.ts";
import { Leftover } from "./leftover.ts";
import { isSameCollection, isSameHook } from "./same-declaration.ts";
import type { TableMirror } from "./table-mirror.ts";
import type { Transaction } from "./transaction.ts";

export interface TransactionBuilderInput {
  readonly family: Family;
  readonly mirror: TableMirror;
  /** From the changes before; it goes now, but for what is wanted again. */
  readonly leftover: Leftover;
}

/** Gathers what makes a table as it is to be, out of what the kernel has: first the collections, then chains and elements. */
export class TransactionBuilder {
  readonly #input: TransactionBuilderInput;
  readonly #removedElements = new Map<string, Set<string>>();
  readonly #addedElements = new Map<string, Map<string, ElementValue>>();
  readonly #removedCollections = new Map<string, Collection["kind"]>();
  readonly #addedCollections: Collection[] = [];
  /** The names of those. */
  readonly #madeAnew = new Set<string>();
  readonly #removedChains = new Set<string>();
  readonly #addedChains: Chain[] = [];
  readonly #rewrittenChains: Chain[] = [];
  /** Goes with the next transaction. */
  readonly later = new Leftover();

  constructor(input: TransactionBuilderInput) {
    this.#input = input;
  }

  /** All that a collection is to hold of its own; the map is the builder's from now on. */
  wantElements(collection: string, entries: Map<string, ElementValue>): void {
    const { mirror, leftover } = this.#input;
    if (mirror.elementsOf(collection).size === 0 && !leftover.elements.has(collection)) {
      if (entries.size > 0) this.#addedElements.set(collection, entries);
      return;
    }
    for (const [key, value] of entries) this.#want(collection, key, value);
  }

  wantElement({ collection, key, data, comment }: Element): void {
    this.#want(collection, key, { data, comment });
  }

  #want(collection: string, key: string, value: ElementValue): void {
    const { mirror, leftover } = this.#input;
    leftover.keepElement(collection, key);
    if (!this.#madeAnew.has(collection)) {
      if (mirror.has(collection, key, value)) return;
      if (mirror.elementsOf(collection).has(key))
        entryOf(this.#removedElements, collection, () => new Set<string>()).add(key);
    }
    entryOf(this.#addedElements, collection, () => new Map<string, ElementValue>()).set(key, value);
  }

  removeElement(collection: string, key: string, when: "now" | "later"): void {
    const { leftover } = this.#input;
    if (leftover.elements.get(collection)?.has(key) === true) return;
    if (when === "now") entryOf(this.#removedElements, collection, () => new Set<string>()).add(key);
    else this.later.addElement(collection, key);
  }

  wantCollection(collection: Collection): void {
    const { mirror, leftover } = this.#input;
    leftover.collections.delete(collection.name);
    const there = mirror.collections.get(collection.name);
    if (there !== undefined) {
      if (isSameCollection(there, collection)) return;
      this.#removedCollections.set(there.name, there.kind);
    }
    this.#addedCollections.push(collection);
    this.#madeAnew.add(collection.name);
  }

  wantChain(chain: Chain): void {
    const { mirror, leftover } = this.#input;
    leftover.chains.delete(chain.name);
    const there = mirror.chains.get(chain.name);
    if (there !== undefined && isSameHook(there, chain)) {
      if (!this.#isUntouched(there, chain)) this.#rewrittenChains.push(chain);
      return;
    }
    if (there !== undefined) this.#removedChains.add(chain.name);
    this.#addedChains.push(chain);
  }

  /** Whether a chain has its rules, and none of them names what is made anew. */
  #isUntouched(there: Chain, wanted: Chain): boolean {
    if (there.rules.length !== wanted.rules.length) return false;
    if (!there.rules.every((rule, index) => rule === wanted.rules[index])) return false;
    const names = [...this.#removedCollections.keys()];
    return !there.rules.some((rule) => names.some((name) => mentions(rule, name)));
  }

  removeChain({ name, hook }: Chain): void {
    if (this.#input.leftover.chains.has(name)) return;
    // What the kernel calls by itself has an effect as long as it is there.
    if (hook !== undefined) this.#removedChains.add(name);
    else this.later.chains.add(name);
  }

  removeCollection({ name, kind }: Collection): void {
    if (!this.#input.leftover.collections.has(name)) this.later.collections.set(name, kind);
  }

  /**
   * What was left over before goes along with a change; by itself, only where it is asked for.
   *
   * @param options.withLeftover default: where there is something else to do
   */
  build({ withLeftover = this.#hasWork() }: { readonly withLeftover?: boolean } = {}): Transaction {
    const { family, mirror, leftover } = this.#input;
    // Whatever was in a collection goes with it.
    for (const name of this.#removedCollections.keys()) this.#removedElements.delete(name);
    if (withLeftover) this.#removeLeftover();
    else this.later.take(leftover);
    return {
      family,
      createsTable: !mirror.exists,
      ...(mirror.isDormant ? { wakesTable: true as const } : {}),
      removedElements: this.#removedElements,
      addedElements: this.#addedElements,
      removedCollections: Array.from(this.#removedCollections, ([name, kind]) => ({ name, kind })),
      addedCollections: this.#addedCollections,
      removedChains: this.#removedChains,
      addedChains: this.#addedChains,
      rewrittenChains: this.#rewrittenChains,
    };
  }

  #hasWork(): boolean {
    const maps = [this.#removedElements, this.#addedElements, this.#removedCollections, this.#removedChains];
    const lists = [this.#addedCollections, this.#addedChains, this.#rewrittenChains];
    return maps.some(({ size }) => size > 0) || lists.some(({ length }) => length > 0);
  }

  #removeLeftover(): void {
    const { leftover } = this.#input;
    for (const [collection, keys] of leftover.elements) {
      if (this.#removedCollections.has(collection) || leftover.collections.has(collection)) continue;
      const removed = entryOf(this.#removedElements, collection, () => new Set<string>());
      for (const key of keys) removed.add(key);
    }
    for (const name of leftover.chains) this.#removedChains.add(name);
    for (const [name, kind] of leftover.collections) this.#removedCollections.set(name, kind);
  }
}

function mentions(rule: string, collection: string): boolean {
  return rule.split(" ").includes(`@${collection}`);
}
