import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { acceptHostPlan, type HostPlanFlags } from "../iptables-flags.ts";

interface ApplyFlags extends HostPlanFlags {
  readonly adopt?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** `svcproxy iptables apply TOPOLOGY`: makes this host's rules equal to the plan. */
export function addIptablesApply(iptables: Command, run: RunCommand): void {
  acceptHostPlan(iptables.command("apply"))
    .description("make this host's rules equal to the plan")
    .option("--adopt", "take over chains with our names that somebody else made")
    .option("--dry-run", "print what would be fed to the kernel, and change nothing")
    .option(
      "--json",
      "print what was changed as JSON: tables, differences as `diff --json` has them, deleted UDP flows",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  sudo svcproxy iptables apply web.yaml --host web1\n  sudo svcproxy iptables apply web.yaml --host web1 --json | jq .differences",
    )
    .action((files: string[], flags: ApplyFlags) =>
      run(async (context) => {
        const [
          { applyRules, compileForHost, familiesInPlay, openHostRules, readHostPlan, refuseForeignChains, warnOfHost },
          { printChanges, tablesOf },
          { reportApplied, reportDryRun, reportProblems },
        ] = await Promise.all([
          import("../host-rules.ts"),
          import("../print-changes.ts"),
          import("../change-report.ts"),
        ]);
        const { plan, dialect } = await readHostPlan(context, files, flags);
        const { signal } = context;
        await using session = await openHostRules(context, { ...flags, isExclusive: flags.dryRun !== true });
        const desired = await compileForHost(plan, { ...flags, dialect, session, signal });
        const adopt = flags.adopt === true;
        const options = { signal, adopt, families: familiesInPlay(flags.family) };
        const backend = session.backend();
        const { tools, problem } = session.choice;
        const ofVariant = problem === undefined ? [] : [problem];
        const printJson = (report: object) => context.print(`${JSON.stringify(report, null, 2)}\n`);
        if (flags.dryRun === true) {
          const found = await backend.compare(desired, options);
          if (!adopt) refuseForeignChains(found.families);
          if (flags.json === true) {
            await printJson({ dryRun: true, ...reportDryRun(found, tools), ...reportProblems(ofVariant) });
          } else await context.print(printChanges(found.changes, tools));
          return 0;
        }
        const applied = await applyRules(context, { backend, desired, options });
        const ofHost = await warnOfHost(context, { plan, dialect });
        const { changes } = applied.outcome;
        if (flags.json === true) {
          const report = reportApplied(applied, { tools, desired, adopt });
          const problems = [...ofVariant, ...applied.problems, ...ofHost];
          await printJson({ dryRun: false, ...report, ...reportProblems(problems) });
          return 0;
        }
        await context.print(
          changes.length === 0
            ? `nothing to change: iptables-${tools.variant} has these rules already\n`
            : `done: iptables-${tools.variant} has the new rules; changed ${tablesOf(changes)}\n`,
        );
        return 0;
      }),
    );
}
