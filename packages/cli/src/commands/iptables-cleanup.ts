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
        const variants = available
          .map(({ tools }) => tools)
          .filter(({ variant }) => flags.variant === undefined || variant === chosen.variant);
        let isClean = true;
        for (const tools of variants) {
          const backend = session.backend(tools);
          const { families, changes } = await backend.compare([], { signal });
          refuseHeldChains(families);
          if (changes.length === 0) continue;
          isClean = false;
          if (flags.dryRun === true) {
            await context.print(printChanges(changes, tools));
            continue;
          }
          const outcome = await backend.apply([], { signal });
          await finishApply(context, { outcome, desired: [] });
          await context.print(`done: removed our rules from iptables-${tools.variant}: ${tablesOf(outcome.changes)}\n`);
        }
        if (isClean)
          await context.print(
            flags.dryRun === true ? "# nothing to change\n" : "nothing to remove: no rule here is ours\n",
          );
        return 0;
      }),
    );
}
