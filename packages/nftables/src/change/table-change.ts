import type { Family } from "@svcproxy/topology";
import { tableName } from "../table/format-table.ts";
import { formatTransaction } from "./format-transaction.ts";
import type { Transaction } from "./transaction.ts";

export type TableChange =
  | { readonly kind: "transaction"; readonly transaction: Transaction }
  /** The whole table of a family goes. */
  | { readonly kind: "removal"; readonly family: Family };

/** Commands for `nft -f -`. */
export function formatChange(change: TableChange): string {
  return change.kind === "removal"
    ? `delete table ${tableName(change.family)}\n`
    : formatTransaction(change.transaction);
}
