import { type HostPlan, planHost, type Topology } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";
import { machineAddresses } from "./machine-addresses.ts";
import { type OwnHostFlags, readTopology, resolveOwnHost } from "./read-topology.ts";
import type { TopologyFlags } from "./topology-input.ts";

/** The plan for this host, from the topology that the command line names. */
export async function readHostPlan(
  context: CommandContext,
  files: readonly string[],
  flags: TopologyFlags & OwnHostFlags,
): Promise<{ readonly plan: HostPlan; readonly topology: Topology }> {
  const { topology } = await readTopology(context, files, { ...flags, required: true });
  const host = resolveOwnHost(topology, flags);
  return { plan: planHost(topology, { host, machineAddresses: machineAddresses() }), topology };
}
