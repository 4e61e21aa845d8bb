import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import type { CompareRulesFlags } from "../data-path/compare-rules.ts";
import { acceptHostPlan } from "../flags/iptables-flags.ts";

/** `svcproxy iptables diff TOPOLOGY`: how this host's rules differ from the plan, by meaning. */
export function addIptablesDiff(iptables: Command, run: RunCommand): void {
  addHelp(acceptHostPlan(iptables.command("diff")), {
    about: "compare this host's rules with the plan, by meaning; exit code 3 where they differ",
    examples: ["sudo svcproxy iptables diff web.yaml --host web1"],
  })
    .option("--json", "print the differences as JSON")
    .action((files: string[], flags: CompareRulesFlags) =>
      run(async (context) => {
        const { compareRules } = await import("../data-path/compare-rules.ts");
        return compareRules(context, files, flags);
      }),
    );
}
