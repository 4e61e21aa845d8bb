import type {
  ApplyReport,
  CleanupReport,
  FamilyCounts,
  IptablesTools,
  Difference as PlaceDifference,
  PlanDifference,
} from "@svcproxy/host";
import type { VariantChoice } from "../kernel/detect-variant.ts";
import type { Difference } from "../kernel/differences.ts";
import { describeDifference } from "../kernel/differences.ts";
import type { ApplyOutcome, RuleDifference } from "../kernel/rule-backend.ts";
import type { RuleStyle } from "../rule-style.ts";

/** What became of rules of one variant that were to be changed. */
export interface RuleReport extends Pick<ApplyOutcome, "changes"> {
  readonly tools: IptablesTools;
  readonly deletedUdpFlows: FamilyCounts;
  /** What told the kernel from the plan before; none where nobody looked. It takes a comparison. */
  readonly differences: () => readonly Difference[];
}

export interface IptablesApplyReport extends Omit<ApplyReport, "deletedUdpFlows">, RuleReport {}

export interface IptablesPlanDifference extends PlanDifference {
  readonly choice: VariantChoice;
  readonly style: RuleStyle;
  /** By table and chain; rules that look like ours in tables that the plan does not use are told too. */
  readonly families: RuleDifference["families"];
  /** What `apply` would do: it leaves those alone. */
  readonly rules: RuleDifference;
}

export interface IptablesCleanupReport extends CleanupReport {
  readonly choice: VariantChoice;
  /** One for each variant that held rules of ours. */
  readonly variants: readonly RuleReport[];
}

/** A difference as every data path tells it. */
export function placeDifference(difference: Difference): PlaceDifference {
  const { kind, family, table, chain } = difference;
  return { kind, place: `IPv${family} ${table} ${chain}`, text: describeDifference(difference).join("\n") };
}

/** `nat (IPv4)`, …: the changed tables, each once. */
export function changedTables(changes: ApplyOutcome["changes"]): readonly string[] {
  return [...new Set(changes.map(({ family, table }) => `${table} (IPv${family})`))];
}
