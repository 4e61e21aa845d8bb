import { type FamilyCounts, NO_COUNTS } from "@svcproxy/host";
import type { Family, Problem } from "@svcproxy/topology";
import type { TableChange } from "../change/table-change.ts";
import type { WantedPort } from "../compile/wanted-port.ts";
import type { NftTable } from "../table/nft-table.ts";

/** What one apply did so far. */
export interface ApplyRun {
  /** What nft carried out, in order. */
  readonly changes: TableChange[];
  /** Our tables as they were; undefined where nobody looked. */
  before: ReadonlyMap<Family, NftTable | undefined> | undefined;
  /** Ports that no number is left for. */
  readonly unnumbered: WantedPort[];
  deletedUdpFlows: FamilyCounts;
  /** How long it took to look for them; undefined: nobody had to. */
  settledUdpMs: number | undefined;
  readonly problems: Problem[];
  /** Whether the kernel did not take what was to be written of some services alone. */
  refusedPart: boolean;
}

export function newRun(): ApplyRun {
  return {
    ...{ changes: [], before: undefined, unnumbered: [], problems: [] },
    ...{ deletedUdpFlows: NO_COUNTS, settledUdpMs: undefined, refusedPart: false },
  };
}
