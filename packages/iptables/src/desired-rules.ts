import type { Rule, Table } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";

/** What a dialect makes of a HostPlan for one family. */
export interface DesiredRules {
  readonly family: Family;
  /** Our own chains only, in the order in which they are written. */
  readonly tables: readonly Table[];
  /** Our rules in the built-in chains, in the order in which they are written. */
  readonly hooks: readonly Hook[];
}

/** A rule of ours in a built-in chain. */
export interface Hook {
  readonly table: string;
  readonly chain: string;
  readonly rule: Rule;
  /** `first`: written by `-I CHAIN 1`; `last`: by `-A`. */
  readonly placement: "first" | "last";
}
