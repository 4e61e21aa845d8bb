import { type MachineAddress, readAddresses } from "@svcproxy/host";
import { type Cidr, cidrOf, type IpAddress } from "@svcproxy/topology";
import type { InterfaceSubnet } from "./policy/pod-cidrs.ts";

export interface LocalAddresses {
  readonly interfaces: readonly InterfaceSubnet[];
  /** Every address of every interface: a client with one of them is this host. */
  readonly all: readonly IpAddress[];
  /** Those of them that other machines can dial, but for VIPs. */
  readonly own: readonly IpAddress[];
}

/** @throws EnvironmentError OUT_OF_DESCRIPTORS, ADDRESSES_UNREADABLE */
export function readLocalAddresses(options: { readonly vipDevices: readonly string[] }): LocalAddresses {
  const { addresses, fault } = readAddresses();
  if (fault !== undefined) throw fault;
  return sortAddresses(addresses, options);
}

/** What a proxy has to know of this machine's addresses. */
export function sortAddresses(
  machine: readonly MachineAddress[],
  { vipDevices }: { readonly vipDevices: readonly string[] },
): LocalAddresses {
  const all: IpAddress[] = [];
  const own: IpAddress[] = [];
  const interfaces: { name: string; cidr: Cidr }[] = [];
  for (const { device, address, prefixLength, isLoopback: isOnLoopback } of machine) {
    all.push(address);
    if (vipDevices.includes(device)) continue; // VIPs are the plan's
    if (!isOnLoopback && !isLinkLocal(address)) interfaces.push({ name: device, cidr: cidrOf(address, prefixLength) });
    // But lo may have others, which are the host's like any. A link-local address is of no use without its interface.
    if (!isLoopback(address) && !isLinkLocal(address)) own.push(address);
  }
  return { all, own, interfaces };
}

function isLoopback(address: IpAddress): boolean {
  return address.startsWith("127.") || address === "::1";
}

function isLinkLocal(address: IpAddress): boolean {
  return address.startsWith("169.254.") || /^fe[89ab]/.test(address);
}
