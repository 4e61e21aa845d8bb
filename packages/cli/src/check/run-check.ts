import { formatProblem, InputError, planHost, problemOf } from "@svcproxy/topology";
import { leftOverProblems } from "../agent/left-over.ts";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import { findOwnHost, readTopology, resolveHost } from "../source/read-topology.ts";
import type { TopologyFlags } from "../source/topology-input.ts";
import { filterPlan, filterProblems, filterTopology } from "./check-filter.ts";
import { checkProblems, exposedHere, unmetHere } from "./check-problems.ts";
import { checkReport } from "./check-report.ts";
import { renderCheck, renderCheckSummary } from "./render-check.ts";

export interface CheckFlags extends TopologyFlags {
  readonly host?: string;
  readonly summary?: true;
  readonly all?: true;
  readonly service?: readonly string[];
  readonly namespace?: readonly string[];
  readonly unready?: true;
  readonly json?: true;
}

/** Prints what was understood of a topology, and what is less than well with it. @throws InputError with everything that is wrong */
export async function runCheck(
  context: CommandContext,
  files: readonly string[],
  flags: CheckFlags,
): Promise<ExitCode> {
  const { topology, warnings } = await readTopology(context, files, { ...flags, required: true }).catch(
    async (error: unknown) => {
      // Those who read data get the faults as data too; people have them on stderr anyway.
      if (flags.json === true && error instanceof InputError) {
        const { faults } = error;
        await context.print(renderJson({ faults, problems: faults.map(problemOf) }));
      }
      throw error;
    },
  );
  const host = flags.host === undefined ? findOwnHost(topology) : resolveHost(topology, flags.host);
  const plan = host === undefined ? undefined : planHost(topology, { host });
  const found = checkProblems(topology, { warnings, plan, exposed: await exposedHere(plan) });
  const { service = [], namespace = [], unready = false } = flags;
  const shown = filterTopology(topology, { services: service, namespaces: namespace, unready });
  const left = await leftOverProblems(context);
  const unmet = await unmetHere(plan, context.signal);
  const problems = { ...found, ofPlan: [...filterProblems([...found.ofPlan, ...unmet], shown), ...left] };
  // Warnings of the input were told when it was read; what a data path cannot do is in the report.
  for (const problem of problems.ofPlan) context.note(formatProblem(problem));
  const report = checkReport(shown, {
    ...{ warnings, problems },
    plan: plan === undefined ? undefined : filterPlan(plan, shown),
  });
  if (flags.json === true) await context.print(renderJson(report));
  else if (flags.summary === true) await context.print(renderCheckSummary(report));
  else await context.print(renderCheck(report, { isWhole: flags.all === true }));
  return 0;
}
