import { buildDispatch, type Dispatch, type DispatchEntry, type DispatchOptions } from "./build-dispatch.ts";

/** The rules for `entries` in one chain, rule by rule or as a tree. */
export function dispatchRules<Entry extends DispatchEntry>(
  entries: readonly Entry[],
  { byTree, ...options }: DispatchOptions<Entry> & { readonly byTree: boolean },
): Dispatch {
  return byTree ? buildDispatch(entries, options) : { rules: options.leafRules(entries), chains: [] };
}
