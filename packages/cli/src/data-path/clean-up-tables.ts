import { totalCount } from "@svcproxy/host";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { logDeletedFlows, logProblems, reportProblems } from "../command-line/log-problems.ts";
import { renderJson } from "../command-line/render-json.ts";
import type { FamilyFlag } from "../flags/nftables-flags.ts";
import { openDataPath } from "../host-rules/host-tables.ts";
import { refuseBesideAgent } from "./refuse-beside-agent.ts";

export interface CleanUpTablesFlags {
  readonly family?: FamilyFlag;
  readonly dryRun?: true;
  readonly json?: true;
}

/** Removes our nftables tables from this host, whole. */
export async function cleanUpTables(context: CommandContext, flags: CleanUpTablesFlags): Promise<ExitCode> {
  const isDryRun = flags.dryRun === true;
  if (!isDryRun) await refuseBesideAgent("clean up");
  const dataPath = await openDataPath(context, flags);
  const { removed, problems, deletedUdpFlows } = await dataPath.cleanup({ signal: context.signal, isDryRun });
  await logDeletedFlows(context, deletedUdpFlows);
  await logProblems(context, problems);
  if (flags.json === true) {
    const report = {
      dryRun: isDryRun,
      changed: removed.length > 0,
      removed,
      deletedUdpFlows: totalCount(deletedUdpFlows),
    };
    await context.print(renderJson({ ...report, ...reportProblems(problems) }));
    return 0;
  }
  const what = removed.join(", ");
  if (removed.length === 0) await context.print("nothing to remove: no table here is ours\n");
  else await context.print(isDryRun ? `would remove ${what}\n` : `done: removed ${what}\n`);
  return 0;
}
