import { type Command, Option } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptHostPlan, type HostPlanFlags } from "../flags/iptables-flags.ts";

interface ApplyFlags extends HostPlanFlags {
  readonly adopt?: boolean;
  readonly replace?: "nftables";
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** `svcproxy iptables apply TOPOLOGY`: makes this host's rules equal to the plan. */
export function addIptablesApply(iptables: Command, run: RunCommand): void {
  addHelp(acceptHostPlan(iptables.command("apply")), {
    about: "make this host's rules equal to the plan",
    examples: [
      "sudo svcproxy iptables apply web.yaml --host web1",
      "sudo svcproxy iptables apply web.yaml --host web1 --json | jq .differences",
      "sudo svcproxy iptables apply web.yaml --replace nftables",
    ],
  })
    .addOption(
      new Option("--replace <path>", "remove our tables of another data path once these rules are in").choices([
        "nftables",
      ]),
    )
    .option("--adopt", "take over chains with our names that somebody else made")
    .option("--dry-run", "print what would be fed to the kernel, and change nothing")
    .option(
      "--json",
      "print what was changed as JSON: tables, differences as `diff --json` has them, deleted UDP flows",
    )
    .action((files: string[], flags: ApplyFlags) =>
      run(async (context) => {
        const [
          { logDeletedFlows, logProblems, openDataPath, planProblems, readHostPlan, ruleLimitations },
          { printChanges, reportChanges, reportProblems, tablesOf },
        ] = await Promise.all([import("../host-rules/host-rules.ts"), import("../data-path/change-report.ts")]);
        const { plan, defaultDialect } = await readHostPlan(context, files, flags);
        const { signal } = context;
        const dataPath = await openDataPath(context, { ...flags, defaultDialect });
        const printJson = (report: object) => context.print(`${JSON.stringify(report, null, 2)}\n`);
        if (flags.dryRun === true) {
          const { report, problems } = await dataPath.preview(plan, { signal });
          await logProblems(context, problems);
          if (flags.json === true) {
            await printJson({
              dryRun: true,
              ...reportChanges(report, { isDryRun: true }),
              ...reportProblems(problems),
            });
          } else await context.print(printChanges(report.changes, report.tools));
          return 0;
        }
        const { refuseBesideAgent } = await import("../data-path/refuse-beside-agent.ts");
        await refuseBesideAgent("apply");
        await using session = await dataPath.open(signal);
        const applied = await session.apply(plan);
        await logDeletedFlows(context, applied.deletedUdpFlows);
        const problems = [...applied.problems, ...planProblems(plan), ...ruleLimitations(plan, session.style)];
        await logProblems(context, problems);
        const exitCode = problems.some(({ severity }) => severity === "error") ? 1 : 0;
        const { changes, tools } = applied;
        const { replaceDataPath } = await import("../data-path/replace-data-path.ts");
        const replaced =
          flags.replace === undefined
            ? undefined
            : await replaceDataPath(context, { old: flags.replace, isServed: exitCode === 0 });
        if (flags.json === true) {
          const report = {
            ...reportChanges(applied, { isDryRun: false }),
            ...(replaced === undefined ? {} : { replaced: replaced.removed }),
          };
          await printJson({ dryRun: false, ...report, ...reportProblems(problems) });
          return exitCode;
        }
        await context.print(
          changes.length === 0
            ? `nothing to change: iptables-${tools.variant} has these rules already\n`
            : `done: iptables-${tools.variant} has the new rules; changed ${tablesOf(changes)}\n`,
        );
        if (replaced !== undefined) await context.print(replaced.text);
        return exitCode;
      }),
    );
}
