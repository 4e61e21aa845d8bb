import {
  addressBits,
  addressWidth,
  cidrContains,
  cidrOf,
  familyOf,
  type IpAddress,
  parseCidr,
} from "@svcproxy/topology";
import type { InterfaceAddress, NetworkInterface } from "../host-state.ts";
import type { HostView } from "./packet-view.ts";

/**
 * The address that MASQUERADE gives a packet: the outgoing interface's own, whatever source the route prefers.
 *
 * IPv4: its first address whose subnet holds the next hop, else its first; where it has none, another interface's first.
 * IPv6: of the interface's addresses the one with the most leading bits in common with the destination.
 *
 * @returns undefined where there is no address: the kernel drops the packet
 * @see linux inet_select_addr, ipv6_dev_get_saddr
 */
export function masqueradeAddress(
  host: HostView,
  { outInterface, nextHop, destination }: { outInterface: string; nextHop: IpAddress; destination: IpAddress },
): IpAddress | undefined {
  const device = host.router.interfaceOf(outInterface);
  const others = host.state.interfaces.filter((other) => other.name !== outInterface);
  if (familyOf(destination) === 6) return longestCommonPrefix([device, ...others], destination);
  const own = device === undefined ? [] : universal(device, 4);
  const near = own.find(({ address, prefixLength }) => cidrContains(cidrOf(address, prefixLength), nextHop));
  return (near ?? own[0] ?? others.flatMap((other) => universal(other, 4))[0])?.address;
}

/** The address that REDIRECT sends a packet to: the first of the interface by which it came. */
export function redirectAddress(host: HostView, family: 4 | 6, inInterface: string): IpAddress | undefined {
  const addresses = host.router.interfaceOf(inInterface)?.addresses ?? [];
  return addresses.find(({ address }) => familyOf(address) === family)?.address;
}

/** The addresses that may be chosen as a source for anywhere: not secondary, of global scope. */
function universal({ addresses }: NetworkInterface, family: 4 | 6): readonly InterfaceAddress[] {
  return addresses.filter(
    ({ address, scope, isSecondary }) =>
      familyOf(address) === family && isSecondary !== true && (scope ?? "global") === "global",
  );
}

function longestCommonPrefix(
  devices: readonly (NetworkInterface | undefined)[],
  destination: IpAddress,
): IpAddress | undefined {
  const isLinkLocal = LINK_LOCAL !== undefined && cidrContains(LINK_LOCAL, destination);
  for (const device of devices) {
    const candidates = (device?.addresses ?? []).filter(
      ({ address, scope }) =>
        familyOf(address) === 6 && ((scope ?? "global") === "link") === isLinkLocal && scope !== "host",
    );
    const [best] = [...candidates].sort(
      (a, b) => commonBits(b.address, destination) - commonBits(a.address, destination),
    );
    if (best !== undefined) return best.address;
    if (isLinkLocal) return undefined;
  }
  return undefined;
}

const LINK_LOCAL = parseCidr("fe80::/10");

function commonBits(a: IpAddress, b: IpAddress): number {
  const difference = addressBits(a) ^ addressBits(b);
  return addressWidth(familyOf(a)) - (difference === 0n ? 0 : difference.toString(2).length);
}
