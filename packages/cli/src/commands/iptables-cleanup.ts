import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptHostRules, type HostPlanFlags } from "../flags/iptables-flags.ts";

interface CleanupFlags extends Omit<HostPlanFlags, "family" | "takePort"> {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** `svcproxy iptables cleanup`: removes everything of ours from this host's rules, whichever plan and variant it came from. */
export function addIptablesCleanup(iptables: Command, run: RunCommand): void {
  addHelp(acceptHostRules(iptables.command("cleanup")), {
    about: "remove everything that is ours from this host's rules",
    examples: [
      "sudo svcproxy iptables cleanup",
      "sudo svcproxy iptables cleanup --dry-run --json | jq .variants",
      "sudo svcproxy iptables cleanup web.yaml --host web1   # typed ones too",
    ],
  })
    .option("--dry-run", "print what would be fed to the kernel, and change nothing")
    .option("--json", "print what was removed as JSON, for each variant as `apply --json` does")
    .action((files: string[], flags: CleanupFlags) =>
      run(async (context) => {
        const [
          { logDeletedFlows, logProblems, openDataPath, readHostPlan },
          { printChanges, reportChanges, reportProblems, tablesOf },
        ] = await Promise.all([import("../host-rules/host-rules.ts"), import("../data-path/change-report.ts")]);
        const { signal } = context;
        const isDryRun = flags.dryRun === true;
        const { refuseBesideAgent } = await import("../data-path/refuse-beside-agent.ts");
        if (!isDryRun) await refuseBesideAgent("clean up");
        // A plan is asked for only where one is named: what is marked as ours is known without.
        const named = files.length === 0 ? undefined : await readHostPlan(context, files, flags);
        const dataPath = await openDataPath(context, { ...flags, ...named });
        const { choice, variants, problems } = await dataPath.cleanup({ signal, isDryRun, plan: named?.plan });
        for (const { deletedUdpFlows } of variants) await logDeletedFlows(context, deletedUdpFlows);
        await logProblems(context, problems);
        if (flags.json === true) {
          const reports = variants.map((variant) => reportChanges(variant, { isDryRun }));
          const changed = reports.some((report) => report.changed);
          const report = { dryRun: isDryRun, changed, variants: reports, ...reportProblems(problems) };
          await context.print(`${JSON.stringify(report, null, 2)}\n`);
          return 0;
        }
        for (const { tools, changes } of variants) {
          await context.print(
            isDryRun
              ? printChanges(changes, tools)
              : `done: removed our rules from iptables-${tools.variant}: ${tablesOf(changes)}\n`,
          );
        }
        if (variants.length === 0) {
          await context.print(isDryRun ? printChanges([], choice.tools) : "nothing to remove: no rule here is ours\n");
        }
        return 0;
      }),
    );
}
