import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { acceptTopology, type TopologyFlags } from "../topology-input.ts";

interface CheckFlags extends TopologyFlags {
  readonly host?: string;
  readonly json?: true;
}

/** `svcproxy check TOPOLOGY`. */
export function registerCheck(program: Command, run: RunCommand): void {
  acceptTopology(program.command("check"))
    .description("show what was understood of a topology, or everything that is wrong with it")
    .option("--host <name>", "show what this host does with every frontend, too")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  svcproxy check web.yaml\n  svcproxy check web.yaml --host web1 --json")
    .action((files: string[], flags: CheckFlags) =>
      run(async (context) => {
        const [{ readTopology, resolveHost }, { checkReport }, { renderCheck }] = await Promise.all([
          import("../read-topology.ts"),
          import("../check-report.ts"),
          import("../render-check.ts"),
        ]);
        const { topology, warnings } = await readTopology(context, files, { ...flags, required: true });
        const host = flags.host === undefined ? undefined : resolveHost(topology, flags.host);
        const report = checkReport(topology, { warnings, host });
        await context.print(flags.json === true ? `${JSON.stringify(report, null, 2)}\n` : renderCheck(report));
        return 0;
      }),
    );
}
