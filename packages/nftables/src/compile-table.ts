import type { HostPlan } from "@svcproxy/topology";
import { TableKeeper } from "./change/table-keeper.ts";
import type { TableOptions } from "./compile/table-settings.ts";
import type { WantedPort } from "./compile/wanted-port.ts";
import { wantedTable } from "./compile/wanted-table.ts";
import type { NftTable } from "./table/nft-table.ts";

export interface CompiledTable {
  readonly table: NftTable;
  /** Ports that no number is left for, and that the table does not serve. */
  readonly unnumbered: readonly WantedPort[];
}

/** The table that carries a plan out, on a host that has none. Equal plans give equal tables. */
export function compileTable(plan: HostPlan, options: TableOptions): CompiledTable {
  const { transaction, unnumbered } = new TableKeeper(options.family).planAll(wantedTable(plan, options));
  const { addedCollections, addedChains, addedElements } = transaction;
  const { family } = options;
  return {
    table: { family, collections: addedCollections, chains: addedChains, elements: addedElements },
    unnumbered,
  };
}
