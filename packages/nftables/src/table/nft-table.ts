import type { Family } from "@svcproxy/topology";
import { entryOf } from "./entry-of.ts";

/** Our table has this name in both families. */
export const TABLE = "svcproxy";

/** What it says about itself to whoever lists it. */
export const TABLE_COMMENT = "svcproxy: services and endpoints are elements of maps, the rules are the same for all";

/** Our table in one family, as a value. */
export interface NftTable {
  readonly family: Family;
  /** Set where somebody put it to sleep (`flags dormant`): the kernel asks none of its chains. */
  readonly isDormant?: true;
  readonly collections: readonly Collection[];
  readonly chains: readonly Chain[];
  readonly elements: Elements;
}

/** The declaration of a map or a set. */
export interface Collection {
  readonly kind: "map" | "set";
  readonly name: string;
  /** What is looked up, and for a map what is found, in nft's words: `ip daddr . th dport : meta priority`. */
  readonly typeOf: string;
  /** Whether each element counts the packets that found it. */
  readonly counts: boolean;
  /** In nft's order: `interval`, or `dynamic,timeout` for what packets write themselves. */
  readonly flags?: "interval" | "dynamic,timeout";
  /** Elements at most; only where packets write. */
  readonly size?: number;
  readonly timeoutSeconds?: number;
  /** For whoever lists the table; at most 128 bytes, without a double quote. */
  readonly comment: string;
}

export interface Chain {
  readonly name: string;
  readonly comment?: string;
  /** Set for one that the kernel itself calls. */
  readonly hook?: ChainHook;
  /** As `nft -s list` prints them. */
  readonly rules: readonly string[];
}

export interface ChainHook {
  readonly type: "nat" | "filter";
  readonly hook: "prerouting" | "input" | "output" | "postrouting";
  /** As a number: versions of nft print other names for it. */
  readonly priority: number;
}

/** By the name of the collection, by key as nft prints it. */
export type Elements = ReadonlyMap<string, ReadonlyMap<string, ElementValue>>;

export interface ElementValue {
  /** What a map leads to; empty in a set. */
  readonly data: string;
  /** Empty where it has none. */
  readonly comment: string;
}

export interface Element extends ElementValue {
  readonly collection: string;
  readonly key: string;
}

/** An element; of a set where `data` is left out. */
export function element(collection: string, key: string, data = "", comment = ""): Element {
  return { collection, key, data, comment };
}

/** Whether data and comment are the same. */
export function isSameValue(a: ElementValue, b: ElementValue): boolean {
  return a.data === b.data && a.comment === b.comment;
}

/** The elements sorted by collection. Where two have a key, the first stays. */
export function collectElements(elements: readonly Element[]): Map<string, Map<string, ElementValue>> {
  const collected = new Map<string, Map<string, ElementValue>>();
  addElements(collected, elements);
  return collected;
}

/** Adds them to those that were collected before. */
export function addElements(collected: Map<string, Map<string, ElementValue>>, elements: readonly Element[]): void {
  for (const { collection, key, data, comment } of elements) {
    const there = entryOf(collected, collection, () => new Map<string, ElementValue>());
    if (!there.has(key)) there.set(key, { data, comment });
  }
}
