import { type Command, Option } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { parseDuration } from "../command-line/parse-duration.ts";
import { acceptRuleSource } from "../flags/rule-source-flags.ts";
import type { TraceFlags } from "../trace/run-trace.ts";

/** `svcproxy trace [TOPOLOGY]`: where one packet goes, without sending it. */
export function addTrace(program: Command, run: RunCommand): void {
  addHelp(acceptRuleSource(program.command("trace")), {
    about: "follow a new connection's first packet through a host's rules",
    examples: [
      "svcproxy trace --host cloudos1 --from os1_my1 --to service1:7070",
      "svcproxy trace --host cloudos1 --from 10.5.75.2 --to 10.100.100.1:7070",
      "svcproxy trace --rules rules.txt --host-state state.json \\\n  --from 10.5.75.2 --to 10.100.100.1:7070",
      "sudo svcproxy trace --live --from 10.5.75.2 --to 10.100.100.1:7070",
      "sudo svcproxy trace --watch --from 10.5.75.2 --to 10.100.100.1:7070 --for 1m",
    ],
    notes: [
      "Names are the topology's: NAME, or NAMESPACE/NAME where several namespaces have it. Of a name that a service, a pod and a host have, --to means the service, then the pod, and --from the pod. Without a port, --to means a service's only one, or a pod's own.",
      "With --packets, where packets say what is expected of them: exit code 3 where one came to something else, 4 where none did but of one it could not be decided.",
      "--watch has the kernel itself trace the first packet of each such connection that somebody makes meanwhile, through rules of nftables and iptables-nft, and shows its way beside the predicted one. It marks nothing else, at most 5 packets a second, by a table of its own that it takes away at the end. Exit code 3: one went otherwise than predicted; 4: none came, or the prediction does not reach to its end. --json prints a line for each packet.",
    ],
  })
    .option("--from <name|ip>", "who sends it: an address, or a pod or host of the topology")
    .option(
      "--to <name|ip:port>",
      "whom it dials: an address, or a service, pod or host of the topology, and a port or a service's port name",
    )
    .option("--proto <protocol>", "tcp, udp, sctp, icmp, ipv6-icmp or a number (default: tcp)")
    .option("--sport <port>", "the sender's port (default: any that clients use)")
    .option("--in-interface <name>", "by which it comes in (default: where its sender lives)")
    .option("--mark <mark>", "the mark that it carries (default: 0)")
    .option(
      "--state <state>",
      "what conntrack makes of it: NEW, ESTABLISHED, RELATED, INVALID or UNTRACKED (default: NEW)",
    )
    .option(
      "--packets <file>",
      "many packets: JSON lines, or a YAML list of { from, to, proto, …, expect }; - for stdin",
    )
    .option("--json", "print the branches as JSON")
    .addOption(
      new Option("--format <format>", "text, or a picture of the branches")
        .choices(["text", "mermaid", "dot", "svg"])
        .default("text"),
    )
    .option("--all", "tell every branch step by step")
    .option("--watch", "show the way that the kernel takes such connections on this machine, beside the predicted one")
    .option("--for <time>", "with --watch: for so long", parseDuration, 30_000)
    .action((files: string[], flags: TraceFlags) =>
      run(async (context) => {
        if (flags.watch === true) {
          const { watchTrace } = await import("../trace/watch-trace.ts");
          return watchTrace(context, files, flags);
        }
        const { runTrace } = await import("../trace/run-trace.ts");
        return runTrace(context, files, flags);
      }),
    );
}
