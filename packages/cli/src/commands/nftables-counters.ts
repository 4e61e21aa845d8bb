import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptFamily, type FamilyFlag } from "../flags/nftables-flags.ts";

interface CountersFlags {
  readonly service?: string;
  readonly family?: FamilyFlag;
  readonly json?: true;
}

/** `svcproxy nftables counters`: what our tables have counted. */
export function addNftablesCounters(nftables: Command, run: RunCommand): void {
  const counters = addHelp(nftables.command("counters"), {
    takesNoMore:
      "It reads what the kernel counts of all that is served. One service: svcproxy nftables counters --service NAME",
    about: "show new connections per address and per endpoint of each service",
    notes: [
      "An element counts from when it was written: an endpoint that takes the place of another in its service begins at 0. Packets and bytes in both directions are counted where `apply` was told --traffic-counters.",
    ],
    examples: [
      "sudo svcproxy nftables counters",
      "sudo svcproxy nftables counters --service default/web --json | jq .ports",
    ],
  }).option("--service <name>", "only this service: namespace/name, or a name in namespace default");
  acceptFamily(counters, "IPv4 or IPv6 only (default: both)")
    .option("--json", "print JSON")
    .action((flags: CountersFlags) =>
      run(async (context) => {
        const { printCounters } = await import("../data-path/print-counters.ts");
        return printCounters(context, flags);
      }),
    );
}
