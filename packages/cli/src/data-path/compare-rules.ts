import { formatDifferences, isForeign, listDifferences } from "@svcproxy/iptables";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { logProblems } from "../command-line/log-problems.ts";
import { renderJson } from "../command-line/render-json.ts";
import type { HostPlanFlags } from "../flags/iptables-flags.ts";
import { openDataPath, readJudgedPlan } from "../host-rules/host-rules.ts";

export interface CompareRulesFlags extends HostPlanFlags {
  readonly json?: boolean;
}

/** Prints how this host's rules differ from the plan, by meaning. @returns 3 where they do */
export async function compareRules(
  context: CommandContext,
  files: readonly string[],
  flags: CompareRulesFlags,
): Promise<ExitCode> {
  const { plan, defaultDialect } = await readJudgedPlan(context, files, flags);
  const dataPath = await openDataPath(context, { ...flags, defaultDialect });
  const { choice, families, problems } = await dataPath.compare(plan, { signal: context.signal });
  const differences = listDifferences(families);
  await logProblems(
    context,
    problems.filter(({ code }) => code === "NODE_PORT_TAKEN" || code === "UNMARKED_RULES"),
  );
  if (isForeign(families)) {
    context.note("svcproxy: the chains that differ were not made by svcproxy: `apply` changes them with --adopt only");
  }
  const { variant } = choice.tools;
  if (differences.length === 0) context.note(`svcproxy: no difference: iptables-${variant} has the rules of the plan`);
  await context.print(
    flags.json === true
      ? renderJson({ equal: differences.length === 0, variant, differences })
      : formatDifferences(differences),
  );
  return differences.length === 0 ? 0 : 3;
}
