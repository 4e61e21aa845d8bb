import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { acceptRuleSource } from "../rule-source-flags.ts";
import type { ProveFlags } from "../run-prove.ts";

/** `svcproxy prove [TOPOLOGY]`: whether rules keep the promise, over all packets. */
export function addProve(program: Command, run: RunCommand): void {
  acceptRuleSource(program.command("prove"))
    .description("prove over all packets that a host's rules carry its plan out")
    .option("--same <files...>", "two rule files, A and B: whether they treat all packets alike")
    .option("--json", "print the claims as JSON")
    .addHelpText(
      "after",
      "\nExit code 0: every claim holds. 3: one is broken, or cannot be decided.\n\nExamples:\n" +
        "  svcproxy prove --host cloudos1\n" +
        "  sudo iptables-save | svcproxy prove topology.yaml --host web1 --rules -\n" +
        "  sudo svcproxy prove topology.yaml --live\n" +
        "  svcproxy prove --host cloudos1 --same before.txt after.txt",
    )
    .action((files: string[], flags: ProveFlags) =>
      run(async (context) => {
        const { runProve } = await import("../run-prove.ts");
        return runProve(context, files, flags);
      }),
    );
}
