import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { acceptHostPlan, type HostPlanFlags } from "../iptables-flags.ts";

interface ApplyFlags extends HostPlanFlags {
  readonly adopt?: boolean;
  readonly dryRun?: boolean;
}

/** `svcproxy iptables apply TOPOLOGY`: makes this host's rules equal to the plan. */
export function addIptablesApply(iptables: Command, run: RunCommand): void {
  acceptHostPlan(iptables.command("apply"))
    .description("make this host's rules equal to the plan")
    .option("--adopt", "take over chains with our names that somebody else made")
    .option("--dry-run", "print what would be fed to the kernel, and change nothing")
    .addHelpText("after", "\nExample:\n  sudo svcproxy iptables apply web.yaml --host web1")
    .action((files: string[], flags: ApplyFlags) =>
      run(async (context) => {
        const [
          { compileForHost, familiesInPlay, finishApply, openHostRules, readHostPlan, refuseForeignChains, warnOfHost },
          { printChanges, tablesOf },
        ] = await Promise.all([import("../host-rules.ts"), import("../print-changes.ts")]);
        const plan = await readHostPlan(context, files, flags);
        const { signal } = context;
        await using session = await openHostRules(context, { ...flags, isExclusive: flags.dryRun !== true });
        const desired = await compileForHost(plan, { ...flags, session, signal });
        const options = { signal, adopt: flags.adopt === true, families: familiesInPlay(flags.family) };
        const backend = session.backend();
        const { tools } = session.choice;
        if (flags.dryRun === true) {
          const { families, changes } = await backend.compare(desired, options);
          if (!options.adopt) refuseForeignChains(families);
          await context.print(printChanges(changes, tools));
          return 0;
        }
        const outcome = await backend.apply(desired, options);
        await finishApply(context, { outcome, desired });
        await warnOfHost(context, plan);
        await context.print(
          outcome.changes.length === 0
            ? `nothing to change: iptables-${tools.variant} has these rules already\n`
            : `done: iptables-${tools.variant} has the new rules; changed ${tablesOf(outcome.changes)}\n`,
        );
        return 0;
      }),
    );
}
