import { hostname } from "node:os";
import { ObservedHost } from "@svcproxy/doctor";
import { collectSnapshot, type HostSnapshot, readSnapshot, thisMachine } from "@svcproxy/host";
import { planHost, type Topology } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import { notedAddresses } from "../source/machine-addresses.ts";
import { readText } from "../source/read-files.ts";
import { type OwnHostFlags, resolveHost, resolveOwnHost } from "../source/read-topology.ts";

/** This machine as it is now, and what it promises as a host of the topology. @param options.host its name, or how it is found */
export async function observeThisHost(
  { signal }: Pick<CommandContext, "signal">,
  { topology, host }: { readonly topology: Topology; readonly host: string | OwnHostFlags },
): Promise<ObservedHost> {
  const takenAt = new Date().toISOString();
  const { text } = await collectSnapshot(thisMachine, { signal, takenAt, hostname: hostname() });
  const snapshot = readSnapshot(text, { file: "this host" });
  // Addresses of devices that are down are its own too.
  const name = typeof host === "string" ? host : resolveOwnHost(topology, host, notedAddresses(snapshot.hostState));
  return new ObservedHost({ plan: planOf(topology, name, snapshot), snapshot });
}

/** A host of which there is a file. @param options.host its name; undefined: the one that has an address of it */
export async function observeSnapshot(
  context: CommandContext,
  { topology, file, host }: { readonly topology: Topology; readonly file: string; readonly host: string | undefined },
): Promise<ObservedHost> {
  const snapshot = readSnapshot(await readText(context, file), { file });
  const localAddresses = notedAddresses(snapshot.hostState);
  const name = resolveHost(topology, host, { localAddresses, called: `the host of ${JSON.stringify(file)}` });
  return new ObservedHost({ plan: planOf(topology, name, snapshot), snapshot });
}

function planOf(topology: Topology, host: string, { hostState }: HostSnapshot) {
  return planHost(topology, { host, machineAddresses: notedAddresses(hostState) });
}
