import type { Family } from "@svcproxy/topology";

export type Hook = "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING";

/** A chain that rules are made for: what may stand in it hangs on the hooks from which it can be reached. */
export interface RulePlace {
  readonly family: Family;
  readonly table: string;
  readonly hooks: readonly Hook[];
  readonly isBuiltIn: boolean;
  /** Chains that it may jump to; the kernel refuses loops. */
  readonly below: readonly string[];
}
