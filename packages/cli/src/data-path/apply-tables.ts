import { totalCount } from "@svcproxy/host";
import { commitSteps, formatChange, type NftablesApplyReport, type NftablesDataPath } from "@svcproxy/nftables";
import { type HostPlan, planProblems } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { logDeletedFlows, logProblems, reportProblems } from "../command-line/log-problems.ts";
import { renderJson } from "../command-line/render-json.ts";
import { tuneForOneRun } from "../command-line/tune-for-one-run.ts";
import type { NftablesPlanFlags } from "../flags/nftables-flags.ts";
import { openDataPath, printChanges, tablesOf } from "../host-rules/host-tables.ts";
import { readHostPlan } from "../source/read-topology.ts";
import { besideUserspace } from "./beside-userspace.ts";
import { refuseBesideAgent } from "./refuse-beside-agent.ts";
import { replaceDataPath } from "./replace-data-path.ts";

export interface ApplyTablesFlags extends NftablesPlanFlags {
  readonly replace?: "iptables";
  readonly json?: true;
}

/** What `nftables apply` would change. */
export async function previewTables(
  context: CommandContext,
  files: readonly string[],
  flags: ApplyTablesFlags,
): Promise<ExitCode> {
  const { plan } = await tuneForOneRun(() => readHostPlan(context, files, flags));
  const dataPath = await openDataPath(context, flags);
  const { signal } = context;
  const { differences, changes, problems } = await tuneForOneRun(() => dataPath.compare(plan, { signal }));
  await logProblems(context, problems);
  if (flags.json !== true) {
    await context.print(printChanges(changes));
    return 0;
  }
  const nft = commitSteps(changes).map((step) => ({ command: "nft -f -", input: step.map(formatChange).join("") }));
  const report = { dryRun: true, changed: changes.length > 0, differences, nft, ...reportProblems(problems) };
  await context.print(renderJson(report));
  return 0;
}

/** Makes this host's tables equal to the plan, and where it is asked for removes the rules that served it before. */
export async function applyTables(
  context: CommandContext,
  files: readonly string[],
  flags: ApplyTablesFlags,
): Promise<ExitCode> {
  const { signal } = context;
  const { plan } = await tuneForOneRun(() => readHostPlan(context, files, flags));
  await refuseBesideAgent("apply");
  const dataPath = await openDataPath(context, flags);
  const applied = await applyOnce(dataPath, plan, signal);
  await logDeletedFlows(context, applied.deletedUdpFlows);
  const besides = await besideUserspace();
  const problems = [...applied.problems, ...besides, ...planProblems(plan), ...dataPath.limitations(plan)];
  await logProblems(context, problems);
  const isServed = !problems.some(({ severity }) => severity === "error");
  const { changes } = applied;
  const say = (text: string) => (flags.json === true ? undefined : context.print(text));
  await say(
    changes.length === 0
      ? "nothing to change: nftables has this plan already\n"
      : `done: nftables has the new plan; changed ${tablesOf(changes)}\n`,
  );
  const replaced =
    flags.replace === undefined ? undefined : await replaceDataPath(context, { old: flags.replace, isServed });
  if (replaced !== undefined) await say(replaced.text);
  if (flags.json === true) {
    const differences = applied.differences();
    const deletedUdpFlows = totalCount(applied.deletedUdpFlows);
    const report = {
      ...{ dryRun: false, changed: changes.length > 0, differences, deletedUdpFlows },
      ...(replaced === undefined ? {} : { replaced: replaced.removed }),
    };
    await context.print(renderJson({ ...report, ...reportProblems(problems) }));
  }
  return isServed ? 0 : 1;
}

/** By a session of its own, which has let go of the lock, and of what the change left over, when it returns. */
async function applyOnce(
  dataPath: NftablesDataPath,
  plan: HostPlan,
  signal: AbortSignal,
): Promise<NftablesApplyReport> {
  await using session = await dataPath.open(signal);
  return await tuneForOneRun(() => session.apply(plan));
}
