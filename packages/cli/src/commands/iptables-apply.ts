import { type Command, Option } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import type { ApplyRulesFlags } from "../data-path/apply-rules.ts";
import { acceptHostPlan } from "../flags/iptables-flags.ts";

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
    .action((files: string[], flags: ApplyRulesFlags & { readonly dryRun?: boolean }) =>
      run(async (context) => {
        const { applyRules, previewRules } = await import("../data-path/apply-rules.ts");
        return flags.dryRun === true ? previewRules(context, files, flags) : applyRules(context, files, flags);
      }),
    );
}
