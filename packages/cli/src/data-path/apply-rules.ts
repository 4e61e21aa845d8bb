import { ruleLimitations } from "@svcproxy/iptables";
import { planProblems } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { logDeletedFlows, logProblems, reportProblems } from "../command-line/log-problems.ts";
import { renderJson } from "../command-line/render-json.ts";
import type { HostPlanFlags } from "../flags/iptables-flags.ts";
import { openDataPath, readHostPlan } from "../host-rules/host-rules.ts";
import { besideUserspace } from "./beside-userspace.ts";
import { printChanges, reportChanges, tablesOf } from "./change-report.ts";
import { refuseBesideAgent } from "./refuse-beside-agent.ts";
import { replaceDataPath } from "./replace-data-path.ts";

export interface ApplyRulesFlags extends HostPlanFlags {
  readonly adopt?: boolean;
  readonly replace?: "nftables";
  readonly json?: boolean;
}

/** What `iptables apply` would change. */
export async function previewRules(
  context: CommandContext,
  files: readonly string[],
  flags: ApplyRulesFlags,
): Promise<ExitCode> {
  const { plan, defaultDialect } = await readHostPlan(context, files, flags);
  const dataPath = await openDataPath(context, { ...flags, defaultDialect });
  const { report, problems } = await dataPath.preview(plan, { signal: context.signal });
  await logProblems(context, problems);
  await context.print(
    flags.json === true
      ? renderJson({ dryRun: true, ...reportChanges(report, { isDryRun: true }), ...reportProblems(problems) })
      : printChanges(report.changes, report.tools),
  );
  return 0;
}

/** Makes this host's rules equal to the plan, and where it is asked for removes the tables that served it before. */
export async function applyRules(
  context: CommandContext,
  files: readonly string[],
  flags: ApplyRulesFlags,
): Promise<ExitCode> {
  const { plan, defaultDialect } = await readHostPlan(context, files, flags);
  const dataPath = await openDataPath(context, { ...flags, defaultDialect });
  await refuseBesideAgent("apply");
  await using session = await dataPath.open(context.signal);
  const applied = await session.apply(plan);
  await logDeletedFlows(context, applied.deletedUdpFlows);
  const besides = await besideUserspace();
  const problems = [...applied.problems, ...besides, ...planProblems(plan), ...ruleLimitations(plan, session.style)];
  await logProblems(context, problems);
  const isServed = !problems.some(({ severity }) => severity === "error");
  const { changes, tools } = applied;
  const replaced =
    flags.replace === undefined ? undefined : await replaceDataPath(context, { old: flags.replace, isServed });
  if (flags.json === true) {
    const report = {
      ...reportChanges(applied, { isDryRun: false }),
      ...(replaced === undefined ? {} : { replaced: replaced.removed }),
    };
    await context.print(renderJson({ dryRun: false, ...report, ...reportProblems(problems) }));
  } else {
    await context.print(
      changes.length === 0
        ? `nothing to change: iptables-${tools.variant} has these rules already\n`
        : `done: iptables-${tools.variant} has the new rules; changed ${tablesOf(changes)}\n`,
    );
    if (replaced !== undefined) await context.print(replaced.text);
  }
  return isServed ? 0 : 1;
}
