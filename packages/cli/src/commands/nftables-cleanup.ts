import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptFamily, type FamilyFlag } from "../flags/nftables-flags.ts";

interface CleanupFlags {
  readonly family?: FamilyFlag;
  readonly dryRun?: true;
  readonly json?: true;
}

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
    .action((flags: CleanupFlags) =>
      run(async (context) => {
        const [{ openDataPath, totalCount }, { logDeletedFlows, logProblems, reportProblems }] = await Promise.all([
          import("../host-rules/host-tables.ts"),
          import("../command-line/log-problems.ts"),
        ]);
        const isDryRun = flags.dryRun === true;
        const { refuseBesideAgent } = await import("../data-path/refuse-beside-agent.ts");
        if (!isDryRun) await refuseBesideAgent("clean up");
        const dataPath = await openDataPath(context, flags);
        const { removed, problems, deletedUdpFlows } = await dataPath.cleanup({ signal: context.signal, isDryRun });
        await logDeletedFlows(context, deletedUdpFlows);
        await logProblems(context, problems);
        if (flags.json === true) {
          const report = {
            dryRun: isDryRun,
            changed: removed.length > 0,
            removed,
            deletedUdpFlows: totalCount(deletedUdpFlows),
          };
          await context.print(`${JSON.stringify({ ...report, ...reportProblems(problems) }, null, 2)}\n`);
          return 0;
        }
        const what = removed.join(", ");
        if (removed.length === 0) await context.print("nothing to remove: no table here is ours\n");
        else await context.print(isDryRun ? `would remove ${what}\n` : `done: removed ${what}\n`);
        return 0;
      }),
    );
}
