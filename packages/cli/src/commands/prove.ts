import { type Command, Option } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptRuleSource } from "../flags/rule-source-flags.ts";
import type { ProveFlags } from "../prove/prove-flags.ts";

/** `svcproxy prove [TOPOLOGY]`: whether rules keep the promise, over all packets. */
export function addProve(program: Command, run: RunCommand): void {
  addHelp(acceptRuleSource(program.command("prove")), {
    about: "prove over all packets that a host's rules carry its plan out",
    notes: [
      "Exit code 0: every claim holds. 3: one is broken. 4: none is broken, but one cannot be decided.",
      "With --same 0: the same. 3: different. 4: it cannot be decided. It needs neither topology nor host.",
      "With --to the rules are compared with what kube-proxy's nftables mode promises, which need not run anywhere: each kind of difference once, with a packet, the services that it concerns and the traffic that was counted, and what the host must have. 0: ready; what the mode does otherwise by design, and what stops and was never used, is told and counts for nothing. 3: not ready: something that is or may be in use stops or changes, or the host lacks something. 4: neither, but something could not be decided or looked at.",
    ],
    examples: [
      "svcproxy prove --host cloudos1",
      "sudo iptables-save | svcproxy prove web.yaml --host web1 --rules -",
      "sudo svcproxy prove web.yaml --live",
      "svcproxy prove --same before.txt after.txt",
      "svcproxy prove cluster.yaml --config kube-proxy.yaml \\\n  --to kube-proxy-nftables --rules node1.json",
      "svcproxy prove cluster.yaml --config kube-proxy.yaml \\\n  --to kube-proxy-nftables --fleet snapshots",
    ],
  })
    .option(
      "--same <files...>",
      "two rule files, A and B, of iptables-save or nft: whether they treat all packets alike",
    )
    .addOption(
      new Option(
        "--to <mode>",
        "what becomes of the host when kube-proxy goes from its iptables mode to this one",
      ).choices(["kube-proxy-nftables"]),
    )
    .option("--fleet <directory>", "with --to: sum up the snapshots of many hosts (`svcproxy host-state --snapshot`)")
    .option(
      "--kube-proxy-version <version>",
      "with --to: which kube-proxy will run, as 1.37.2 (default: what the latest known one does)",
    )
    .option("--json", "print the claims as JSON")
    .action((files: string[], flags: ProveFlags) =>
      run(async (context) => {
        const { runProve } = await import("../prove/run-prove.ts");
        return runProve(context, files, flags);
      }),
    );
}
