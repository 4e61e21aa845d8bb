import type { SymbolicState } from "../../prove/walk/symbolic-state.ts";
import type { NftData } from "../nft-rule-set.ts";

/** What a set or map says of the packets of a state. */
export type Found =
  | { readonly kind: "found"; readonly state: SymbolicState; readonly data: NftData | undefined }
  | { readonly kind: "missing"; readonly state: SymbolicState }
  /** There is no such key to look up, which ends the rule. */
  | { readonly kind: "none"; readonly state: SymbolicState }
  | { readonly kind: "undecided"; readonly state: SymbolicState; readonly because: string };

/** The packets of a state whose value leads to a group; `none`: to no group, `unknown`: to which is not known. */
export interface Divided {
  readonly state: SymbolicState;
  readonly group: number | "none" | "unknown";
}
