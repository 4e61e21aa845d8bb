import type { Listener, Machine, PortHolder } from "@svcproxy/host";
import {
  type Family,
  familyOf,
  type HostPlan,
  type IpAddress,
  listNames,
  type Problem,
  visible,
} from "@svcproxy/topology";
import { openPorts, type VipPort, vipPortKey } from "./isolation.ts";
import { portsOfVips, vipsOfPlan } from "./vips-of-plan.ts";

export interface ExposureOptions {
  readonly machine: Pick<Machine, "readListeners" | "readHolders">;
  /** What listens for the proxy itself is not named. */
  readonly ownPid?: number;
  /** Why VIPs of a family are not isolated; those of other families lead to the services' ports alone. */
  readonly notIsolated: ReadonlyMap<Family, string>;
  /** By `vipPortKey`: ports of isolated VIPs from which clients are kept. */
  readonly shut?: ReadonlySet<string>;
}

/**
 * Which programs of this host a client reaches by any VIP: a VIP is an address of this host, and they listen on all of those. With rules
 * such a port of a VIP gives no answer. Of isolated VIPs only ports of services where nobody listens lead to a program.
 */
export async function exposedPrograms(
  plan: HostPlan,
  { machine, ownPid, notIsolated, shut = new Set() }: ExposureOptions,
): Promise<readonly Problem[]> {
  const { vips } = vipsOfPlan(plan);
  if (vips.length === 0) return [];
  const families = new Set(vips.map(familyOf).filter((family) => notIsolated.has(family)));
  const isOpen = openPorts(portsOf(plan, vips).filter((port) => !shut.has(vipPortKey(port))));
  const listeners = (await machine.readListeners()).filter(
    ({ protocol, port, address }) => isReached(address, families) || (isForAll(address) && isOpen(protocol, port)),
  );
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
      hint: hintOf([...families].map((family) => notIsolated.get(family) ?? "")),
    },
  ];
}

function portsOf(plan: HostPlan, vips: readonly IpAddress[]): readonly VipPort[] {
  const known = new Set(vips);
  return portsOfVips(plan).filter(({ address }) => known.has(address));
}

function hintOf([reason]: readonly string[]): string {
  const remedy = "Have them listen on the host's own addresses only";
  if (reason === undefined) return `${remedy}, or on ports that no service has`;
  return `VIPs are not isolated: ${reason}. ${remedy}, or keep clients from these ports of VIPs with a packet filter`;
}

function isForAll(address: Listener["address"]): boolean {
  return address === "::" || address === "0.0.0.0";
}

/** A socket of `::` may take IPv4 as well. */
function isReached(address: Listener["address"], families: ReadonlySet<Family>): boolean {
  return (address === "::" && families.size > 0) || (address === "0.0.0.0" && families.has(4));
}

function nameOf({ protocol, port, inode }: Listener, holders: ReadonlyMap<number, PortHolder>): string {
  const holder = holders.get(inode);
  return `${port}/${protocol} (${holder === undefined ? "a program that this user may not see" : visible(holder.command)})`;
}
