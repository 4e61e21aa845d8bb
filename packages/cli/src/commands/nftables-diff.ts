import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import type { CompareTablesFlags } from "../data-path/compare-tables.ts";
import { acceptTablePlan } from "../flags/nftables-flags.ts";

/** `svcproxy nftables diff TOPOLOGY`: how this host's tables differ from the plan, by meaning. */
export function addNftablesDiff(nftables: Command, run: RunCommand): void {
  addHelp(acceptTablePlan(nftables.command("diff")), {
    about: "compare this host's nftables tables with the plan, by meaning; exit code 3 where they differ",
    examples: ["sudo svcproxy nftables diff web.yaml --host web1"],
  })
    .option("--json", "print the differences as JSON")
    .action((files: string[], flags: CompareTablesFlags) =>
      run(async (context) => {
        const { compareTables } = await import("../data-path/compare-tables.ts");
        return compareTables(context, files, flags);
      }),
    );
}
