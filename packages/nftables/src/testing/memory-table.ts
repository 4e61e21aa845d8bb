import type { Family } from "@svcproxy/topology";
import { TableMirror } from "../change/table-mirror.ts";
import type { Transaction } from "../change/transaction.ts";
import { isSameFrame, type WrittenTable } from "../change/written-table.ts";
import type { ElementValue, NftTable } from "../table/nft-table.ts";

/** A kernel that holds our table alone, and refuses what the real one refuses; a transaction happens whole or not at all. */
export class MemoryTable {
  readonly #family: Family;
  #mirror: TableMirror;

  constructor(family: Family, table?: NftTable) {
    this.#family = family;
    this.#mirror = new TableMirror(table);
  }

  remove(): void {
    if (!this.#mirror.exists) throw new Error("table: No such file");
    this.#mirror = new TableMirror();
  }

  /** @throws Error with the kernel's word where it would refuse */
  run(transaction: Transaction): void {
    this.#refuse(transaction);
    const before = this.read();
    this.#mirror.commit(transaction);
    try {
      this.#refuseLoose();
    } catch (error) {
      this.#mirror = new TableMirror(before);
      throw error;
    }
  }

  /** What another program does. */
  removeElement(collection: string, key: string): void {
    this.#mirror.commit({
      ...NO_CHANGE,
      family: this.#family,
      removedElements: new Map([[collection, new Set([key])]]),
    });
  }

  isAsWritten(written: WrittenTable): boolean {
    const table = this.read();
    if (table === undefined || !isSameFrame(table, written)) return false;
    const isThere = Array.from(written.added, ([name, elements]) =>
      [...elements].every(([key, value]) => this.#mirror.elementsOf(name).get(key)?.data === value.data),
    );
    const isGone = Array.from(written.removed, ([name, keys]) =>
      [...keys].every((key) => !this.#mirror.elementsOf(name).has(key)),
    );
    return [...isThere, ...isGone].every(Boolean);
  }

  /** A copy; undefined where there is no table. */
  read(): NftTable | undefined {
    if (!this.#mirror.exists) return undefined;
    const elements = new Map<string, ReadonlyMap<string, ElementValue>>();
    for (const name of this.#mirror.collections.keys()) {
      const there = this.#mirror.elementsOf(name);
      if (there.size > 0) elements.set(name, new Map(there));
    }
    return {
      family: this.#family,
      collections: [...this.#mirror.collections.values()],
      chains: [...this.#mirror.chains.values()],
      elements,
    };
  }

  #refuse(transaction: Transaction): void {
    const { exists, collections, chains } = this.#mirror;
    if (transaction.createsTable === exists) throw new Error(exists ? "table: File exists" : "table: No such file");
    for (const [name, keys] of transaction.removedElements) {
      const there = this.#mirror.elementsOf(name);
      for (const key of keys) if (!there.has(key)) throw new Error(`${name} ${key}: No such file`);
    }
    for (const name of [...transaction.removedChains, ...transaction.rewrittenChains.map((chain) => chain.name)]) {
      if (!chains.has(name)) throw new Error(`chain ${name}: No such file`);
    }
    for (const { name } of transaction.addedChains) {
      if (chains.has(name) && !transaction.removedChains.has(name)) throw new Error(`chain ${name}: File exists`);
    }
    const removed = new Set(transaction.removedCollections.map(({ name }) => name));
    for (const name of removed) if (!collections.has(name)) throw new Error(`set ${name}: No such file`);
    for (const { name } of transaction.addedCollections) {
      if (collections.has(name) && !removed.has(name)) throw new Error(`set ${name}: File exists`);
    }
    for (const [name, added] of transaction.addedElements) {
      const there = removed.has(name) ? NOTHING : this.#mirror.elementsOf(name);
      for (const key of added.keys()) {
        const goes = transaction.removedElements.get(name)?.has(key) === true;
        if (there.has(key) && !goes) throw new Error(`${name} ${key}: File exists`);
      }
    }
  }

  /** Nothing may name what is not there: neither rules nor verdicts. */
  #refuseLoose(): void {
    const { chains, collections } = this.#mirror;
    const check = (text: string, from: string) => {
      for (const [, kind, name = ""] of text.matchAll(/(?:\b(goto|jump) |@)([\w-]+)/g)) {
        const isThere = kind === undefined ? collections.has(name) : chains.has(name);
        if (!isThere) throw new Error(`${from} names ${name}: No such file, or it is busy`);
      }
    };
    for (const { name, rules } of chains.values()) for (const rule of rules) check(rule, name);
    for (const name of collections.keys()) {
      for (const [key, { data }] of this.#mirror.elementsOf(name)) check(data, `${name} ${key}`);
    }
  }
}

const NO_CHANGE: Omit<Transaction, "family"> = {
  createsTable: false,
  removedElements: new Map(),
  addedElements: new Map(),
  removedCollections: [],
  addedCollections: [],
  removedChains: new Set(),
  addedChains: [],
  rewrittenChains: [],
};

const NOTHING: ReadonlyMap<string, ElementValue> = new Map();
