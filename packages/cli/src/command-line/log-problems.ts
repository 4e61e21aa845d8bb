import { type FamilyCounts, totalCount } from "@svcproxy/host";
import { type Problem, problemSentence } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";

/** Logs what is less than well; what was said of the choice of iptables is in the log already. */
export async function logProblems(context: CommandContext, problems: readonly Problem[]): Promise<void> {
  const log = await context.logger();
  for (const problem of problems) {
    if (problem.code === "RULES_IN_BOTH_VARIANTS") continue;
    const level = problem.severity === "error" ? "error" : "warn";
    log[level]({ code: problem.code, subject: problem.subject }, problemSentence(problem));
  }
}

export async function logDeletedFlows(context: CommandContext, deleted: FamilyCounts): Promise<void> {
  const count = totalCount(deleted);
  if (count === 0) return;
  const log = await context.logger();
  log.info({ deleted: count }, `deleted ${count} UDP flows that went to endpoints that are gone`);
}

/** What of problems stands in a report as JSON; `warnings` has them as sentences. */
export function reportProblems(problems: readonly Problem[]): {
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
} {
  return { problems, warnings: problems.map(problemSentence) };
}
