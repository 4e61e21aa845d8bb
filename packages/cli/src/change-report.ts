import {
  type Difference,
  findDifference,
  formatChange,
  type IptablesTools,
  listDifferences,
  type RuleDifference,
  type TableChange,
  type Variant,
} from "@svcproxy/iptables";
import { type Family, type Problem, problemSentence } from "@svcproxy/topology";
import type { AppliedRules } from "./host-rules.ts";
import { restoreCommand } from "./print-changes.ts";

/** What `apply --json` prints, and `cleanup --json` for each variant. */
export interface ChangeReport {
  readonly variant: Variant;
  /** Whether rules were changed, or would be (`--dry-run`). */
  readonly changed: boolean;
  /** The changed tables, each once. */
  readonly tables: readonly { readonly family: Family; readonly table: string }[];
  /** What told the host from the plan before, as `diff --json` has it. */
  readonly differences: readonly Difference[];
  /** How many UDP flows were deleted, because they went to endpoints that are gone. */
  readonly deletedUdpFlows: number;
  /** With `--dry-run`: the programs that would be run, and their input. */
  readonly restore?: readonly { readonly command: string; readonly input: string }[];
}

/** The report of a run that changed what there was to change. */
export function reportApplied(
  { outcome: { before, changes }, deletedUdpFlows }: AppliedRules,
  { tools, ...plan }: { readonly tools: IptablesTools } & PlanOfRun,
): ChangeReport {
  const { families } = findDifference(before, plan.desired, plan);
  return { ...reportChanges(changes, { tools, families }), deletedUdpFlows };
}

/** What of problems stands in such a report; `warnings` has them as sentences. */
export function reportProblems(problems: readonly Problem[]): {
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
} {
  return { problems, warnings: problems.map(problemSentence) };
}

type PlanOfRun = { readonly desired: Parameters<typeof findDifference>[1]; readonly adopt: boolean };

/** The report of a run that changes nothing. */
export function reportDryRun({ families, changes }: RuleDifference, tools: IptablesTools): ChangeReport {
  const restore = changes.map((change) => ({ command: restoreCommand(change, tools), input: formatChange(change) }));
  return { ...reportChanges(changes, { tools, families }), deletedUdpFlows: 0, restore };
}

function reportChanges(
  changes: readonly TableChange[],
  { tools, families }: { tools: IptablesTools; families: RuleDifference["families"] },
): Omit<ChangeReport, "deletedUdpFlows"> {
  const tables = new Map(changes.map(({ family, table }) => [`${family} ${table}`, { family, table }]));
  return {
    variant: tools.variant,
    changed: changes.length > 0,
    tables: [...tables.values()],
    differences: listDifferences(families),
  };
}
