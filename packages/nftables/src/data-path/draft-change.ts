import type { Family, HostPlan } from "@svcproxy/topology";
import type { TableChange } from "../change/table-change.ts";
import { type PlannedChange, TableKeeper } from "../change/table-keeper.ts";
import { isEmpty } from "../change/transaction.ts";
import { isLeased } from "../compile/lease.ts";
import { type WantedTable, wantedTable } from "../compile/wanted-table.ts";
import type { NftTable } from "../table/nft-table.ts";
import type { NftablesSettings } from "./nftables-settings.ts";

/** What it takes to make our table of a family keep a plan. */
export interface Draft {
  readonly family: Family;
  /** As it was read. */
  readonly table: NftTable | undefined;
  /** Undefined where the plan has nothing to do in this family, so that there is to be no table. */
  readonly kept: Kept | undefined;
  /** None: the kernel has what is wanted, and perhaps something that nothing leads to. */
  readonly change: TableChange | undefined;
}

export interface Kept {
  readonly keeper: TableKeeper;
  readonly planned: PlannedChange;
  readonly wanted: WantedTable;
}

export function draftChange(
  plan: HostPlan,
  {
    family,
    table,
    settings,
  }: { readonly family: Family; readonly table: NftTable | undefined; readonly settings: NftablesSettings },
): Draft {
  if (!usesFamily(plan, family)) {
    return { family, table, kept: undefined, change: table === undefined ? undefined : { kind: "removal", family } };
  }
  const { countsTraffic = false, isLeased: wantsLease = false } = settings;
  const isWanted = wantsLease === "as-found" ? table !== undefined && isLeased(table) : wantsLease;
  const wanted = wantedTable(plan, { family, countsTraffic, isLeased: isWanted });
  const keeper = new TableKeeper(family, table);
  const planned = keeper.planAll(wanted);
  const { transaction } = planned;
  return {
    ...{ family, table, kept: { keeper, planned, wanted } },
    change: isEmpty(transaction) ? undefined : { kind: "transaction", transaction },
  };
}

/** Whether a plan has something to do in a family; where it has not, nothing of ours is to be. */
export function usesFamily({ ports }: HostPlan, family: Family): boolean {
  return ports.some((port) => port.family === family);
}
