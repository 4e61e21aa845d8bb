import type { IndexSet } from "./index-set.ts";
import type { MarkSet } from "./mark-set.ts";

/** The packets that entered the host, as far as they came this way: a product of sets, one for each part of the header. */
export interface Region {
  /** Pieces of the address space. */
  readonly source: IndexSet;
  readonly destination: IndexSet;
  readonly sourcePort: IndexSet;
  readonly destinationPort: IndexSet;
  /** IP protocol numbers. */
  readonly protocol: IndexSet;
  /** Places in CONNECTION_STATES. */
  readonly state: IndexSet;
  readonly mark: MarkSet;
}

export type RegionField = Exclude<keyof Region, "mark">;

/** Fields that NAT changes. */
export type AddressedField = "source" | "destination" | "sourcePort" | "destinationPort";
