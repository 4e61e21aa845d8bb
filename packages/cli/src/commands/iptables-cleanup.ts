import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { acceptVariant, type VariantFlags } from "../iptables-flags.ts";

interface CleanupFlags extends VariantFlags {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** `svcproxy iptables cleanup`: removes everything of ours from this host's rules, whichever plan and variant it came from. */
export function addIptablesCleanup(iptables: Command, run: RunCommand): void {
  acceptVariant(iptables.command("cleanup"))
    .description("remove everything that is ours from this host's rules")
    .option("--dry-run", "print what would be fed to the kernel, and change nothing")
    .option("--json", "print what was removed as JSON, for each variant as `apply --json` does")
    .addHelpText(
      "after",
      "\nExamples:\n  sudo svcproxy iptables cleanup\n  sudo svcproxy iptables cleanup --dry-run --json | jq .variants",
    )
    .action((flags: CleanupFlags) =>
      run(async (context) => {
        const [
          { applyRules, openHostRules, refuseHeldChains },
          { printChanges, tablesOf },
          { reportApplied, reportDryRun, reportProblems },
        ] = await Promise.all([
          import("../host-rules.ts"),
          import("../print-changes.ts"),
          import("../change-report.ts"),
        ]);
        const { signal } = context;
        const isDryRun = flags.dryRun === true;
        // A report is one value, so the lines for people are left out.
        const say = (line: string) => (flags.json === true ? undefined : context.print(line));
        await using session = await openHostRules(context, { ...flags, isExclusive: !isDryRun });
        const { available, tools: chosen } = session.choice;
        const marked = available.filter(
          ({ tools, hasOurMarker }) =>
            hasOurMarker && (flags.variant === undefined || tools.variant === chosen.variant),
        );
        // Look at all before anything is changed: one refusal leaves everything as it is.
        const found = [];
        for (const { tools } of marked) {
          const backend = session.backend(tools);
          const difference = await backend.compare([], { signal });
          refuseHeldChains(difference.families);
          found.push({ backend, difference, tools });
        }
        const variants = [];
        const problems = [];
        for (const { backend, difference, tools } of found) {
          if (isDryRun) {
            variants.push(reportDryRun(difference, tools));
            await say(printChanges(difference.changes, tools));
            continue;
          }
          const applied = await applyRules(context, { backend, desired: [], options: { signal } });
          problems.push(...applied.problems);
          if (flags.json === true) variants.push(reportApplied(applied, { tools, desired: [], adopt: false }));
          await say(`done: removed our rules from iptables-${tools.variant}: ${tablesOf(applied.outcome.changes)}\n`);
        }
        if (found.length === 0) {
          await say(isDryRun ? printChanges([], chosen) : "nothing to remove: no rule here is ours\n");
        }
        if (flags.json === true) {
          const changed = variants.some((variant) => variant.changed);
          const report = { dryRun: isDryRun, changed, variants, ...reportProblems(problems) };
          await context.print(`${JSON.stringify(report, null, 2)}\n`);
        }
        return 0;
      }),
    );
}
