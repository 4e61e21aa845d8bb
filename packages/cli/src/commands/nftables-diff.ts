import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptTablePlan, type NftablesPlanFlags } from "../flags/nftables-flags.ts";

interface DiffFlags extends NftablesPlanFlags {
  readonly json?: true;
}

/** `svcproxy nftables diff TOPOLOGY`: how this host's tables differ from the plan, by meaning. */
export function addNftablesDiff(nftables: Command, run: RunCommand): void {
  addHelp(acceptTablePlan(nftables.command("diff")), {
    about: "compare this host's nftables tables with the plan, by meaning; exit code 3 where they differ",
    examples: ["sudo svcproxy nftables diff web.yaml --host web1"],
  })
    .option("--json", "print the differences as JSON")
    .action((files: string[], flags: DiffFlags) =>
      run(async (context) => {
        const [{ readHostPlan }, { formatDifferences, openDataPath }, { logProblems, reportProblems }] =
          await Promise.all([
            import("../source/read-topology.ts"),
            import("../host-rules/host-tables.ts"),
            import("../command-line/log-problems.ts"),
          ]);
        const { plan } = await readHostPlan(context, files, flags);
        const dataPath = await openDataPath(context, flags);
        const { differences, problems } = await dataPath.compare(plan, { signal: context.signal });
        await logProblems(context, problems);
        if (flags.json === true) {
          const report = { equal: differences.length === 0, differences, ...reportProblems(problems) };
          await context.print(`${JSON.stringify(report, null, 2)}\n`);
        } else {
          if (differences.length === 0) context.note("svcproxy: no difference: nftables has the plan");
          await context.print(formatDifferences(differences));
        }
        return differences.length === 0 ? 0 : 3;
      }),
    );
}
