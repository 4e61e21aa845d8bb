import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { acceptVariant, type VariantFlags } from "../iptables-flags.ts";

interface CleanupFlags extends VariantFlags {
  readonly dryRun?: boolean;
}

/** `svcproxy iptables cleanup`: removes everything of ours from this host's rules, whichever plan and variant it came from. */
export function addIptablesCleanup(iptables: Command, run: RunCommand): void {
  acceptVariant(iptables.command("cleanup"))
    .description("remove everything that is ours from this host's rules")
    .option("--dry-run", "print what would be fed to the kernel, and change nothing")
    .addHelpText("after", "\nExample:\n  sudo svcproxy iptables cleanup")
    .action((flags: CleanupFlags) =>
      run(async (context) => {
        const [{ finishApply, openHostRules, refuseHeldChains }, { printChanges, tablesOf }] = await Promise.all([
          import("../host-rules.ts"),
          import("../print-changes.ts"),
        ]);
        const { signal } = context;
        await using session = await openHostRules(context, { ...flags, isExclusive: flags.dryRun !== true });
        const { available, tools: chosen } = session.choice;
        const marked = available.filter(
          ({ tools, hasOurMarker }) =>
            hasOurMarker && (flags.variant === undefined || tools.variant === chosen.variant),
        );
        // Look at all before anything is changed: one refusal leaves everything as it is.
        const found = [];
        for (const { tools } of marked) {
          const backend = session.backend(tools);
          const { families, changes } = await backend.compare([], { signal });
          refuseHeldChains(families);
          found.push({ backend, changes, tools });
        }
        for (const { backend, changes, tools } of found) {
          if (flags.dryRun === true) {
            await context.print(printChanges(changes, tools));
            continue;
          }
          const outcome = await backend.apply([], { signal });
          await finishApply(context, { outcome, desired: [] });
          await context.print(`done: removed our rules from iptables-${tools.variant}: ${tablesOf(outcome.changes)}\n`);
        }
        if (found.length === 0) {
          await context.print(
            flags.dryRun === true ? printChanges([], chosen) : "nothing to remove: no rule here is ours\n",
          );
        }
        return 0;
      }),
    );
}
