import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptFamily, familiesOf, type NftablesPlanFlags } from "../flags/nftables-flags.ts";
import { acceptTopology } from "../source/topology-input.ts";
import { addNftablesApply } from "./nftables-apply.ts";
import { addNftablesCleanup } from "./nftables-cleanup.ts";
import { addNftablesCounters } from "./nftables-counters.ts";
import { addNftablesDiff } from "./nftables-diff.ts";

/** `svcproxy nftables [TOPOLOGY]`: prints tables; its sub-commands change this host, compare it, or read what it counted. */
export function addNftables(program: Command, run: RunCommand): void {
  const nftables = addHelp(acceptTopology(program.command("nftables")), {
    about: "print the nftables tables of a host, with every service as data",
    examples: [
      "svcproxy nftables web.yaml --host web1 | sudo nft -f -",
      "svcproxy nftables web.yaml --host web1 --family 4 | less",
    ],
  })
    // What stands behind the name of a subcommand is that subcommand's.
    .enablePositionalOptions()
    .option("--host <name>", "the host that the tables are for")
    .option("--traffic-counters", "count each service's packets and bytes, with rules for every packet");
  acceptFamily(nftables, "IPv4, IPv6 or both (default: those that have services)");
  nftables.action((files: string[], flags: NftablesPlanFlags) =>
    run(async (context) => {
      const [{ planHost, readTopology, resolveHost }, { printTables, sysctlNeed }] = await Promise.all([
        import("../source/read-topology.ts"),
        import("../data-path/print-tables.ts"),
      ]);
      const { topology } = await readTopology(context, files, flags);
      const plan = planHost(topology, { host: resolveHost(topology, flags.host) });
      const countsTraffic = flags.trafficCounters === true;
      for (const piece of printTables(plan, { families: familiesOf(flags.family), countsTraffic })) {
        await context.print(piece);
      }
      const need = sysctlNeed(plan);
      if (need !== undefined) context.note(`svcproxy: ${need}`);
      return 0;
    }),
  );
  addNftablesApply(nftables, run);
  addNftablesDiff(nftables, run);
  addNftablesCleanup(nftables, run);
  addNftablesCounters(nftables, run);
}
