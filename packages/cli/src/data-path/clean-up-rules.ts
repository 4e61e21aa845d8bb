import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { logDeletedFlows, logProblems, reportProblems } from "../command-line/log-problems.ts";
import { renderJson } from "../command-line/render-json.ts";
import type { HostPlanFlags } from "../flags/iptables-flags.ts";
import { openDataPath, readHostPlan } from "../host-rules/host-rules.ts";
import { printChanges, reportChanges, tablesOf } from "./change-report.ts";
import { refuseBesideAgent } from "./refuse-beside-agent.ts";

export interface CleanUpRulesFlags extends Omit<HostPlanFlags, "family" | "takePort"> {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** Removes what is ours from this host's rules of iptables; what was typed by hand, too, where a plan is named. */
export async function cleanUpRules(
  context: CommandContext,
  files: readonly string[],
  flags: CleanUpRulesFlags,
): Promise<ExitCode> {
  const { signal } = context;
  const isDryRun = flags.dryRun === true;
  if (!isDryRun) await refuseBesideAgent("clean up");
  // A plan is asked for only where one is named: what is marked as ours is known without.
  const named = files.length === 0 ? undefined : await readHostPlan(context, files, flags);
  const dataPath = await openDataPath(context, { ...flags, ...named });
  const { choice, variants, problems } = await dataPath.cleanup({ signal, isDryRun, plan: named?.plan });
  for (const { deletedUdpFlows } of variants) await logDeletedFlows(context, deletedUdpFlows);
  await logProblems(context, problems);
  if (flags.json === true) {
    const reports = variants.map((variant) => reportChanges(variant, { isDryRun }));
    const changed = reports.some((report) => report.changed);
    const report = { dryRun: isDryRun, changed, variants: reports, ...reportProblems(problems) };
    await context.print(renderJson(report));
    return 0;
  }
  for (const { tools, changes } of variants) {
    await context.print(
      isDryRun
        ? printChanges(changes, tools)
        : `done: removed our rules from iptables-${tools.variant}: ${tablesOf(changes)}\n`,
    );
  }
  if (variants.length === 0) {
    await context.print(isDryRun ? printChanges([], choice.tools) : "nothing to remove: no rule here is ours\n");
  }
  return 0;
}
