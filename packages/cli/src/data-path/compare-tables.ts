import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { logProblems, reportProblems } from "../command-line/log-problems.ts";
import { renderJson } from "../command-line/render-json.ts";
import type { NftablesPlanFlags } from "../flags/nftables-flags.ts";
import { formatDifferences, openDataPath } from "../host-rules/host-tables.ts";
import { readHostPlan } from "../source/read-topology.ts";

export interface CompareTablesFlags extends NftablesPlanFlags {
  readonly json?: true;
}

/** Prints how this host's tables differ from the plan, by meaning. @returns 3 where they do */
export async function compareTables(
  context: CommandContext,
  files: readonly string[],
  flags: CompareTablesFlags,
): Promise<ExitCode> {
  const { plan } = await readHostPlan(context, files, flags);
  const dataPath = await openDataPath(context, flags);
  const { differences, problems } = await dataPath.compare(plan, { signal: context.signal });
  await logProblems(context, problems);
  if (flags.json === true) {
    const report = { equal: differences.length === 0, differences, ...reportProblems(problems) };
    await context.print(renderJson(report));
  } else {
    if (differences.length === 0) context.note("svcproxy: no difference: nftables has the plan");
    await context.print(formatDifferences(differences));
  }
  return differences.length === 0 ? 0 : 3;
}
