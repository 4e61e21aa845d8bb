import type { Family } from "@svcproxy/topology";
import type { Chain, Collection, Elements } from "../table/nft-table.ts";
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

type Frame = Pick<WrittenTable, "collections" | "chains">;

/** Whether two tables have the same declarations and rules, in whatever order they list them. */
export function isSameFrame(a: Frame, b: Frame): boolean {
  const [collections, chains] = [byName(b.collections), byName(b.chains)];
  return (
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
