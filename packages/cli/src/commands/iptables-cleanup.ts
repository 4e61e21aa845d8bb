import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import type { CleanUpRulesFlags } from "../data-path/clean-up-rules.ts";
import { acceptHostRules } from "../flags/iptables-flags.ts";

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
    .action((files: string[], flags: CleanUpRulesFlags) =>
      run(async (context) => {
        const { cleanUpRules } = await import("../data-path/clean-up-rules.ts");
        return cleanUpRules(context, files, flags);
      }),
    );
}
