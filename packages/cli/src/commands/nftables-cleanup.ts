import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import type { CleanUpTablesFlags } from "../data-path/clean-up-tables.ts";
import { acceptFamily } from "../flags/nftables-flags.ts";

/** `svcproxy nftables cleanup`: removes our tables, whichever plan they came from. */
export function addNftablesCleanup(nftables: Command, run: RunCommand): void {
  const cleanup = addHelp(nftables.command("cleanup"), {
    takesNoMore: "It removes our tables whole, whatever topology they came from: svcproxy nftables cleanup",
    about: "remove our nftables tables from this host",
    examples: ["sudo svcproxy nftables cleanup", "sudo svcproxy nftables cleanup --dry-run"],
  });
  acceptFamily(cleanup, "remove the table of IPv4 or IPv6 only (default: both)")
    .option("--dry-run", "print what would be removed, and change nothing")
    .option("--json", "print what was removed as JSON")
    .action((flags: CleanUpTablesFlags) =>
      run(async (context) => {
        const { cleanUpTables } = await import("../data-path/clean-up-tables.ts");
        return cleanUpTables(context, flags);
      }),
    );
}
