import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";

interface CleanupFlags {
  readonly json?: true;
}

/** `svcproxy cleanup`: removes whatever is ours from this host. */
export function addCleanup(program: Command, run: RunCommand): void {
  addHelp(program.command("cleanup"), {
    takesNoMore:
      "It removes all that is ours from this host, whatever topology it came from: svcproxy cleanup. Rules that were loaded by hand, without a mark of ours: svcproxy iptables cleanup TOPOLOGY",
    about: "remove whatever is ours from this host: of all data paths, families and variants",
    notes: [
      "Services are no longer served here afterwards. Connections that are open go on. It takes no topology: what is ours is marked as ours, whatever it came from.",
    ],
    examples: ["sudo svcproxy cleanup", "sudo svcproxy cleanup --json | jq .removed"],
  })
    .option("--json", "print what was removed, and what could not be, as JSON")
    .action((flags: CleanupFlags) =>
      run(async (context) => {
        const { cleanUpAll } = await import("../data-path/clean-up-all.ts");
        return cleanUpAll(context, flags);
      }),
    );
}
