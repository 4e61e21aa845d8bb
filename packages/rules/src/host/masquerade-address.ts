import {
  addressBits,
  addressWidth,
  cidrContains,
  cidrOf,
  familyOf,
  type IpAddress,
  parseCidr,
} from "@svcproxy/topology";
import type { InterfaceAddress, NetworkInterface } from "./host-state.ts";
import type { HostView } from "./routing.ts";

/**
 * The address that MASQUERADE gives a packet: the outgoing interface's own, whatever source the route prefers.
 *
 * IPv4: its first address whose subnet holds the next hop, else its first; where it has none, another interface's first.
 * IPv6: RFC 6724's choice among all addresses of the host: the destination itself, an address of its scope, one of the
 * interface, the one with the most leading bits in common.
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
  if (familyOf(destination) === 6) return selectSource6(device, host.state.interfaces, destination);
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

function selectSource6(
  device: NetworkInterface | undefined,
  devices: readonly NetworkInterface[],
  destination: IpAddress,
): IpAddress | undefined {
  const wanted = scope6(destination);
  // To a neighbour on the link only the link's own addresses will do.
  const asked = wanted <= LINK_SCOPE ? [device] : devices;
  const candidates = asked.flatMap((one) =>
    (one?.addresses ?? [])
      .filter(({ address }) => familyOf(address) === 6)
      .map((own) => ({ own, score: scoreOf(own, { destination, wanted, isOutgoing: one === device }) })),
  );
  const better = (a: readonly number[], b: readonly number[]) => {
    const index = a.findIndex((part, at) => part !== b[at]);
    return index >= 0 && (a[index] ?? 0) > (b[index] ?? 0);
  };
  const [first, ...rest] = candidates;
  return rest.reduce((best, one) => (best === undefined || better(one.score, best.score) ? one : best), first)?.own
    .address;
}

/** RFC 6724's rules 1, 2, 5 and 8, each better the higher. */
function scoreOf(
  { address, prefixLength }: InterfaceAddress,
  { destination, wanted, isOutgoing }: { destination: IpAddress; wanted: number; isOutgoing: boolean },
): readonly number[] {
  const scope = scope6(address);
  return [
    address === destination ? 1 : 0,
    // The smallest scope that reaches far enough; of those that do not, the widest.
    scope >= wanted ? -scope : scope - FAR,
    isOutgoing ? 1 : 0,
    Math.min(commonBits(address, destination), prefixLength),
  ];
}

const LINK_SCOPE = 2;
const GLOBAL_SCOPE = 14;
const FAR = 128;
const LINK_LOCAL = parseCidr("fe80::/10");

function scope6(address: IpAddress): number {
  const isLink = address === "::1" || (LINK_LOCAL !== undefined && cidrContains(LINK_LOCAL, address));
  return isLink ? LINK_SCOPE : GLOBAL_SCOPE;
}

function commonBits(a: IpAddress, b: IpAddress): number {
  const difference = addressBits(a) ^ addressBits(b);
  return addressWidth(familyOf(a)) - (difference === 0n ? 0 : difference.toString(2).length);
}
