import type { Family } from "@svcproxy/topology";
import type { Chain, Collection, Elements, NftTable } from "../table/nft-table.ts";
import { isSameCollection, isSameHook } from "./same-declaration.ts";

/** What a table holds after a change: all its rules and declarations, and of its elements those that the change was about. */
export interface WrittenTable {
  readonly family: Family;
  readonly collections: readonly Collection[];
  readonly chains: readonly Chain[];
  readonly added: Elements;
  /** By collection the keys. */
  readonly removed: ReadonlyMap<string, ReadonlySet<string>>;
}

/** What a table holds after two changes, one after the other. */
export function joinWritten(first: WrittenTable, second: WrittenTable): WrittenTable {
  const added = new Map(Array.from(first.added, ([name, elements]) => [name, new Map(elements)]));
  const removed = new Map(Array.from(first.removed, ([name, keys]) => [name, new Set(keys)]));
  for (const [name, keys] of second.removed) {
    const [gone, there] = [removed.get(name) ?? new Set<string>(), added.get(name)];
    removed.set(name, gone);
    for (const key of keys) {
      gone.add(key);
      there?.delete(key);
    }
  }
  // A transaction removes before it adds: a value that changes is in both.
  for (const [name, elements] of second.added) {
    const [there, gone] = [added.get(name) ?? new Map(), removed.get(name)];
    added.set(name, there);
    for (const [key, value] of elements) {
      there.set(key, value);
      gone?.delete(key);
    }
  }
  const names = new Set(second.collections.map(({ name }) => name));
  // What came and went in between leaves nothing to be read: a list without an element is a syntax error.
  const isThere = ([name, { size }]: readonly [string, { readonly size: number }]) => names.has(name) && size > 0;
  return { ...second, added: new Map([...added].filter(isThere)), removed: new Map([...removed].filter(isThere)) };
}

type Frame = Pick<NftTable, "collections" | "chains" | "isDormant">;

/** Whether two tables have the same declarations and rules, in whatever order they list them. */
export function isSameFrame(a: Frame, b: Frame): boolean {
  const [collections, chains] = [byName(b.collections), byName(b.chains)];
  return (
    a.isDormant === b.isDormant &&
    a.collections.length === collections.size &&
    a.chains.length === chains.size &&
    a.collections.every((collection) => {
      const other = collections.get(collection.name);
      return other !== undefined && isSameCollection(collection, other);
    }) &&
    a.chains.every((chain) => {
      const other = chains.get(chain.name);
      return other !== undefined && isSameHook(chain, other) && isSameText(chain.rules, other.rules);
    })
  );
}

function byName<One extends { readonly name: string }>(all: readonly One[]): ReadonlyMap<string, One> {
  return new Map(all.map((one) => [one.name, one]));
}

function isSameText(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((line, index) => line === b[index]);
}
