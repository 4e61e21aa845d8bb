import type { Listener, Machine, PortHolder } from "@svcproxy/host";
import { type Family, familyOf, type HostPlan, listNames, type Problem, visible } from "@svcproxy/topology";
import { vipsOfPlan } from "./vips-of-plan.ts";

/**
 * Which programs of this host a client reaches by any VIP: a VIP is an address of this host, and they listen on all of those. With rules
 * such a port of a VIP gives no answer.
 *
 * @param ownPid what listens for the proxy itself is not named
 */
export async function exposedPrograms(
  plan: HostPlan,
  { machine, ownPid }: { readonly machine: Pick<Machine, "readListeners" | "readHolders">; readonly ownPid?: number },
): Promise<readonly Problem[]> {
  const families = new Set(vipsOfPlan(plan).vips.map(familyOf));
  if (families.size === 0) return [];
  const listeners = (await machine.readListeners()).filter(({ address }) => isReached(address, families));
  const holders = await machine.readHolders(new Set(listeners.map(({ inode }) => inode)));
  const exposed = listeners.filter(({ inode }) => ownPid === undefined || holders.get(inode)?.pid !== ownPid);
  if (exposed.length === 0) return [];
  const names = new Set(exposed.sort((a, b) => a.port - b.port).map((listener) => nameOf(listener, holders)));
  return [
    {
      code: "VIP_REACHES_PROGRAMS",
      severity: "warning",
      subject: "data path userspace",
      text: `VIPs lead to programs of this host that listen on all addresses: ${listNames([...names])}`,
      hint: "Have them listen on the host's own addresses only, or keep clients from these ports of VIPs with a packet filter",
    },
  ];
}

/** A socket of `::` may take IPv4 as well. */
function isReached(address: Listener["address"], families: ReadonlySet<Family>): boolean {
  return address === "::" || (address === "0.0.0.0" && families.has(4));
}

function nameOf({ protocol, port, inode }: Listener, holders: ReadonlyMap<number, PortHolder>): string {
  const holder = holders.get(inode);
  return `${port}/${protocol} (${holder === undefined ? "a program that this user may not see" : visible(holder.command)})`;
}
