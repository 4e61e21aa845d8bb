import type { RuleSet } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import type { TableComparison } from "./compare-table.ts";
import type { Interruptible, PrintedRules, SavedRules } from "./rule-tables.ts";
import type { TableChange } from "./table-change.ts";

/** Keeps the rules of one host equal to a plan. */
export interface RuleBackend {
  /** How logs and errors call it. */
  readonly name: string;
  /** Our own rules as the host has them, in kernel order; never anyone else's. One for each family. */
  read(options: Interruptible): Promise<readonly RuleSet[]>;
  /** What `apply` would change. */
  compare(desired: readonly DesiredRules[], options: ApplyOptions): Promise<RuleDifference>;
  /**
   * Makes our rules equal `desired`; of a family in `families` that is not in it, our rules are removed. Each table changes whole or not at
   * all, and where a later one fails, the earlier ones are put back; twice is once.
   *
   * @throws EnvironmentError FOREIGN_CHAINS, TABLE_INCOMPATIBLE, RESTORE_REFUSED, RULES_KEEP_CHANGING, INTERRUPTED
   */
  apply(desired: readonly DesiredRules[], options: ApplyRunOptions): Promise<ApplyOutcome>;
}

export interface ApplyOptions extends Interruptible {
  /** The families to look at and to change; default both. */
  readonly families?: readonly Family[];
  /** Take over chains that have our names but that somebody else made. */
  readonly adopt?: boolean;
}

export interface ApplyRunOptions extends ApplyOptions {
  /** All rules of the families in play as they were printed a moment ago: they are not listed again. */
  readonly printed?: readonly PrintedRules[] | undefined;
  /**
   * Called once the rules are in, with the rules of ours that were there before: the time to delete what conntrack keeps of UDP
   * frontends that are gone. A run that is killed before it returns leaves a note of them, by which the next run calls it again.
   */
  readonly settle?: (before: readonly RuleSet[]) => Promise<void>;
}

export interface FamilyDifference {
  readonly family: Family;
  readonly tables: readonly TableComparison[];
}

export interface RuleDifference {
  readonly families: readonly FamilyDifference[];
  readonly changes: readonly TableChange[];
}

export interface ApplyOutcome {
  /** What was fed to the kernel, in order; empty where nothing was to do. */
  readonly changes: readonly TableChange[];
  /** All rules of each family as they were before. */
  readonly before: readonly RuleSet[];
  /** The same as they are now. */
  readonly after: readonly SavedRules[];
  /** Chains of ours that are not in the plan and had to stay, empty, because a foreign rule jumps to them. */
  readonly heldChains: readonly {
    readonly family: Family;
    readonly table: string;
    readonly chain: string;
    readonly heldBy: string;
  }[];
}
