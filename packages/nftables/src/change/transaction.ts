import type { Family } from "@svcproxy/topology";
import type { Chain, Collection, ElementValue } from "../table/nft-table.ts";

/** What one run of nft does to our table: all of it, or nothing. */
export interface Transaction {
  readonly family: Family;
  /** Set where the table is not there; whoever made one meanwhile makes the transaction fail. */
  readonly createsTable: boolean;
  /** Set where it is there, but dormant. */
  readonly wakesTable?: true;
  /** By collection the keys. */
  readonly removedElements: ReadonlyMap<string, ReadonlySet<string>>;
  /** Removed where `addedElements` has the same key first. */
  readonly addedElements: ReadonlyMap<string, ReadonlyMap<string, ElementValue>>;
  readonly removedCollections: readonly Pick<Collection, "kind" | "name">[];
  readonly addedCollections: readonly Collection[];
  readonly removedChains: ReadonlySet<string>;
  readonly addedChains: readonly Chain[];
  /** Those that get other rules. */
  readonly rewrittenChains: readonly Chain[];
}

export function isEmpty(transaction: Transaction): boolean {
  return !transaction.createsTable && sizeOf(transaction) === 0;
}

/** How many elements, chains and collections it touches. */
export function sizeOf(transaction: Transaction): number {
  const { removedElements, addedElements, removedCollections, addedCollections, ...chains } = transaction;
  let size = (transaction.wakesTable === true ? 1 : 0) + removedCollections.length + addedCollections.length;
  size += chains.removedChains.size + chains.addedChains.length + chains.rewrittenChains.length;
  for (const keys of removedElements.values()) size += keys.size;
  for (const elements of addedElements.values()) size += elements.size;
  return size;
}
