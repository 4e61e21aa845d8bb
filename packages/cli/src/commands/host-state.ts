import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";

/** `svcproxy host-state`: what a packet's way through this machine depends on besides rules. */
export function addHostState(program: Command, run: RunCommand): void {
  addHelp(program.command("host-state"), {
    takesNoMore: "It reads this host. Into a file: svcproxy host-state --snapshot FILE",
    about: "print this host's addresses, routes and sysctls as JSON, or all that is known of it",
    notes: [
      "--snapshot writes one file with all that trace, prove and a look at the host from afar need: rules of every program with their counters, links, neighbours, forwarding tables, sockets, conntrack, versions. What could not be read stands in it, with the reason. Looking changes nothing.",
    ],
    examples: [
      "sudo svcproxy host-state --snapshot web1.json",
      "svcproxy prove web.yaml --rules web1.json",
      "sudo svcproxy host-state > state.json",
      "sudo iptables-save > rules.txt",
      "svcproxy trace --rules rules.txt --host-state state.json \\\n  --from 10.5.75.2 --to 10.100.100.1:7070",
    ],
  })
    .option("--snapshot <file>", "write all that is known of this host into one file, - for stdout")
    .option("--json", "print JSON, which it does anyway")
    .action((flags: { readonly snapshot?: string }) =>
      run(async (context) => {
        if (flags.snapshot !== undefined) {
          const { writeSnapshot } = await import("../host-rules/write-snapshot.ts");
          return writeSnapshot(context, flags.snapshot);
        }
        const { readLiveHostState } = await import("../host-rules/live-host-state.ts");
        await context.print(await readLiveHostState(context.signal));
        return 0;
      }),
    );
}
