import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptHostPlan, type HostPlanFlags } from "../flags/iptables-flags.ts";

interface DiffFlags extends HostPlanFlags {
  readonly json?: boolean;
}

/** `svcproxy iptables diff TOPOLOGY`: how this host's rules differ from the plan, by meaning. */
export function addIptablesDiff(iptables: Command, run: RunCommand): void {
  addHelp(acceptHostPlan(iptables.command("diff")), {
    about: "compare this host's rules with the plan, by meaning; exit code 3 where they differ",
    examples: ["sudo svcproxy iptables diff web.yaml --host web1"],
  })
    .option("--json", "print the differences as JSON")
    .action((files: string[], flags: DiffFlags) =>
      run(async (context) => {
        const { formatDifferences, isForeign, listDifferences, logProblems, openDataPath, readJudgedPlan } =
          await import("../host-rules/host-rules.ts");
        const { plan, defaultDialect } = await readJudgedPlan(context, files, flags);
        const dataPath = await openDataPath(context, { ...flags, defaultDialect });
        const { choice, families, problems } = await dataPath.compare(plan, { signal: context.signal });
        const differences = listDifferences(families);
        await logProblems(
          context,
          problems.filter(({ code }) => code === "NODE_PORT_TAKEN" || code === "UNMARKED_RULES"),
        );
        if (isForeign(families)) {
          context.note(
            "svcproxy: the chains that differ were not made by svcproxy: `apply` changes them with --adopt only",
          );
        }
        const { variant } = choice.tools;
        if (differences.length === 0)
          context.note(`svcproxy: no difference: iptables-${variant} has the rules of the plan`);
        await context.print(
          flags.json === true
            ? `${JSON.stringify({ equal: differences.length === 0, variant, differences }, null, 2)}\n`
            : formatDifferences(differences),
        );
        return differences.length === 0 ? 0 : 3;
      }),
    );
}
