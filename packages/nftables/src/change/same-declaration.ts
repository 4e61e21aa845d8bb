import type { Chain, Collection } from "../table/nft-table.ts";

/** By meaning: another comment is no reason to make a map anew. */
export function isSameCollection(a: Collection, b: Collection): boolean {
  return (
    a.kind === b.kind &&
    a.typeOf === b.typeOf &&
    a.counts === b.counts &&
    a.flags === b.flags &&
    a.size === b.size &&
    a.timeoutSeconds === b.timeoutSeconds
  );
}

/** Whether the kernel calls both chains alike, or neither. It changes no hook of a chain that is there. */
export function isSameHook({ hook: a }: Chain, { hook: b }: Chain): boolean {
  return a?.type === b?.type && a?.hook === b?.hook && a?.priority === b?.priority;
}
