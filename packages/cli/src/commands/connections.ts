import { type Command, InvalidArgumentError } from "commander";
import type { ConnectionsFlags } from "../agent/show-connections.ts";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { FOREIGN_HOST } from "../flags/iptables-flags.ts";
import { acceptTopology } from "../source/topology-input.ts";

/** `svcproxy connections SERVICE`: who is connected by a service now. */
export function addConnections(program: Command, run: RunCommand): void {
  const connections = program
    .command("connections")
    .argument("<service>", "NAME, of whichever namespace, or NAMESPACE/NAME");
  addHelp(acceptTopology(connections), {
    about: "show who is connected by a service now: client, VIP, endpoint, state, age, bytes",
    notes: [
      "Without a topology it asks the running agent (svcproxy run), else the running userspace proxy. What rules carry is read from the kernel's connection tracking, without what is over; it counts bytes and notes ages only where net.netfilter.nf_conntrack_acct and nf_conntrack_timestamp are 1.",
    ],
    examples: [
      "sudo svcproxy connections shop/web",
      "sudo svcproxy connections web cloud.yaml --host web1",
      "sudo svcproxy connections web --json | jq '.connections[].client'",
    ],
  })
    .option("--host <name>", "this host's name in the topology (default: the one that owns an address of it)")
    .option("--foreign-host", FOREIGN_HOST)
    .option("--limit <n>", "show at most so many; all are counted", parseLimit, 100)
    .option("--json", "print JSON")
    .action((service: string, files: string[], flags: ConnectionsFlags) =>
      run(async (context) => {
        const { showConnections } = await import("../agent/show-connections.ts");
        return showConnections(context, { service, files, flags });
      }),
    );
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (!/^\d{1,6}$/.test(text) || limit < 1 || limit > 100_000) {
    throw new InvalidArgumentError("Give a number from 1 to 100000.");
  }
  return limit;
}
