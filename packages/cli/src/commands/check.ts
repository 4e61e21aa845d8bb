import type { InputError } from "@svcproxy/topology";
import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptTopology, type TopologyFlags } from "../source/topology-input.ts";

interface CheckFlags extends TopologyFlags {
  readonly host?: string;
  readonly summary?: true;
  readonly all?: true;
  readonly service?: readonly string[];
  readonly namespace?: readonly string[];
  readonly unready?: true;
  readonly json?: true;
}

/** `svcproxy check TOPOLOGY`. */
export function addCheck(program: Command, run: RunCommand): void {
  addHelp(acceptTopology(program.command("check")), {
    about: "show what was understood of a topology, or everything that is wrong with it",
    examples: [
      "svcproxy check web.yaml",
      "svcproxy check web.yaml --host web1 --json",
      "svcproxy check objects/ --summary",
      "svcproxy check objects/ --namespace shop --unready",
      "svcproxy check kubernetes --kubeconfig ~/.kube/config",
    ],
  })
    .option("--host <name>", "whose part to show too (default: the host that this machine is)")
    .option("--summary", "how many there are of everything, and what is wrong, and no tables")
    .option("--all", "every row of every table, however long")
    .option("--service <name>", "only this service, as NAME or NAMESPACE/NAME (repeatable)", collect)
    .option("--namespace <name>", "only the services of this namespace (repeatable)", collect)
    .option("--unready", "only services with a port that has no ready endpoint")
    .option("--json", "print JSON")
    .action((files: string[], flags: CheckFlags) =>
      run(async (context) => {
        const [
          { findOwnHost, readTopology, resolveHost },
          { checkProblems, exposedHere, formatProblem, planHost, problemOf, unmetHere },
          { filterPlan, filterProblems, filterTopology },
          { checkReport },
          { renderCheck, renderCheckSummary },
          { leftOverProblems },
        ] = await Promise.all([
          import("../source/read-topology.ts"),
          import("../check/check-problems.ts"),
          import("../check/check-filter.ts"),
          import("../check/check-report.ts"),
          import("../check/render-check.ts"),
          import("../agent/left-over.ts"),
        ]);
        const { topology, warnings } = await readTopology(context, files, { ...flags, required: true }).catch(
          async (error: unknown) => {
            // Those who read data get the faults as data too; people have them on stderr anyway.
            if (flags.json === true && isInputError(error)) {
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
      }),
    );
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** By what it carries: the class would bring the whole package along at start. */
function isInputError(error: unknown): error is InputError {
  return error instanceof Error && "faults" in error;
}

function renderJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
