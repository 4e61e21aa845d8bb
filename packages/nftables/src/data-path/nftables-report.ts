import type { ApplyReport, CleanupReport, Difference, FamilyCounts, PlanDifference } from "@svcproxy/host";
import type { HostPlan, Problem } from "@svcproxy/topology";
import type { TableChange } from "../change/table-change.ts";
import type { ApplyRun } from "./apply-run.ts";
import { describeDraft } from "./describe-draft.ts";
import { draftChange } from "./draft-change.ts";
import type { NftablesSettings } from "./nftables-settings.ts";

export interface NftablesApplyReport extends ApplyReport {
  /** What was fed to `nft -f -`, in order. */
  readonly changes: readonly TableChange[];
  readonly deletedUdpFlows: FamilyCounts;
  /** What told the tables from the plan before; none where nobody looked. It takes a comparison. */
  readonly differences: () => readonly Difference[];
}

export interface NftablesPlanDifference extends PlanDifference {
  /** What `apply` would feed to `nft -f -`, in order. */
  readonly changes: readonly TableChange[];
}

export interface NftablesCleanupReport extends CleanupReport {
  readonly deletedUdpFlows: FamilyCounts;
}

/** What an apply tells: what was changed, and what is less than well with the plan as it stands. */
export function reportApplied(
  { changes, before, deletedUdpFlows, settledUdpMs, refusedPart, problems: found }: ApplyRun,
  {
    plan,
    settings,
    problems,
  }: { readonly plan: HostPlan; readonly settings: NftablesSettings; readonly problems: readonly Problem[] },
): NftablesApplyReport {
  const differences = () =>
    [...(before ?? [])].flatMap(([family, table]) => describeDraft(draftChange(plan, { family, table, settings })));
  return {
    changed: changes.length > 0,
    problems: [...problems, ...found],
    changes,
    deletedUdpFlows,
    ...(settledUdpMs === undefined ? {} : { settledUdpMs }),
    ...(refusedPart ? { refusedPart } : {}),
    differences,
    ...(before === undefined
      ? {}
      : { found: differences, continues: [...before.values()].some((table) => table !== undefined) }),
  };
}
