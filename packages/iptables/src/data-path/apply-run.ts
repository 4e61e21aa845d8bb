import { addCounts, type FamilyCounts, NO_COUNTS } from "@svcproxy/host";
import type { RuleSet } from "@svcproxy/rules";
import { EnvironmentError, type HostPlan, type Problem, problemOfError } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import type { Difference } from "../kernel/differences.ts";
import type { SavedRules } from "../kernel/rule-tables.ts";
import type { TableChange } from "../kernel/table-change.ts";
import type { OpenMachine, RuleAbilities } from "./iptables-machine.ts";

/** What one apply did so far. */
export interface ApplyRun {
  /** What was fed to the kernel, in order. */
  readonly changes: TableChange[];
  /** All rules as they were before; undefined where nobody looked. */
  before: readonly RuleSet[] | undefined;
  /** All rules as they are now; undefined where nobody looked. */
  after: readonly SavedRules[] | undefined;
  /** Our rules as they are now. */
  desired: readonly DesiredRules[];
  deletedUdpFlows: FamilyCounts;
  /** How long it took to look for them; undefined: nobody had to. */
  settledUdpMs: number | undefined;
  readonly problems: Problem[];
  /** What was put back before anything else was looked at. */
  readonly mended: Difference[];
  /** Whether the kernel did not take what was to be written of some services alone. */
  refusedPart: boolean;
}

export function newRun(): ApplyRun {
  return {
    ...{ changes: [], before: undefined, after: undefined, desired: [] },
    ...{ deletedUdpFlows: NO_COUNTS, settledUdpMs: undefined, problems: [], mended: [], refusedPart: false },
  };
}

/** What the kernel has by our own doing. */
export interface Written {
  readonly plan: HostPlan;
  readonly rules: readonly DesiredRules[];
  readonly abilities: RuleAbilities;
  /** The empty chains that say what is ours, by `FAMILY TABLE`. */
  readonly marks: ReadonlyMap<string, readonly string[]>;
}

/** Deletes the UDP flows that rules no longer send anywhere. What goes wrong leaves the rules in place, and is told. */
export async function settleUdpFlows(
  machine: OpenMachine,
  { before, after, run }: { before: readonly RuleSet[]; after: readonly DesiredRules[]; run: ApplyRun },
): Promise<void> {
  const startedMs = performance.now();
  try {
    // Not interrupted: who waits for an apply to end is told that all is done.
    const deleted = await machine.deleteStaleUdpFlows({ before, after, signal: new AbortController().signal });
    run.deletedUdpFlows = addCounts(run.deletedUdpFlows, deleted);
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    const problem = problemOfError(error, { subject: "UDP flows" });
    const consequence = "UDP clients that keep on sending stay with endpoints that are gone";
    run.problems.push({ ...problem, text: `${problem.text}: ${consequence}` });
  } finally {
    run.settledUdpMs = (run.settledUdpMs ?? 0) + performance.now() - startedMs;
  }
}
