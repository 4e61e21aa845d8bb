import {
  addressBits,
  addressWidth,
  type Cidr,
  cidrContains,
  cidrOf,
  type Family,
  familyOf,
  type IpAddress,
  parseCidr,
} from "@svcproxy/topology";
import type { HostState, InterfaceAddress, NetworkInterface } from "./host-state.ts";
import type { HostView } from "./routing.ts";

/**
 * The address that MASQUERADE gives a packet: the outgoing interface's own, whatever source the route prefers.
 *
 * IPv4: its first address whose subnet holds the next hop, else its first; where it has none, another interface's first.
 * IPv6: RFC 6724's choice among all addresses of the host: the destination itself, an address of its scope, one that is
 * not deprecated, one of the interface, of the destination's label, not temporary, with the most leading bits in common.
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
  if (familyOf(destination) === 6) return selectSource6(host, device, destination);
  const own = device === undefined ? [] : universal(device, 4);
  const near = own.find(({ address, prefixLength }) => cidrContains(cidrOf(address, prefixLength), nextHop));
  return (near ?? own[0] ?? others.flatMap((other) => universal(other, 4))[0])?.address;
}

/** The address that REDIRECT sends a packet to: the first of the interface by which it came. */
export function redirectAddress(host: HostView, family: Family, inInterface: string): IpAddress | undefined {
  const addresses = host.router.interfaceOf(inInterface)?.addresses ?? [];
  return addresses.find(({ address, isTentative }) => familyOf(address) === family && isTentative !== true)?.address;
}

/** The blocks of destinations that `masqueradeAddress` tells apart, beside the addresses themselves. */
export function masqueradeBlocks({ interfaces }: HostState, family: Family): readonly Cidr[] {
  const own = interfaces.flatMap(({ addresses }) => addresses.filter(({ address }) => familyOf(address) === family));
  const subnets = own.map(({ address, prefixLength }) => cidrOf(address, prefixLength));
  if (family === 4) return subnets;
  // Two addresses are told apart by the bit in which they differ first, and all of them by those of neighbours.
  const sorted = own.map(({ address }) => address).sort((a, b) => (addressBits(a) < addressBits(b) ? -1 : 1));
  const closer = sorted.flatMap((address, place) => {
    const next = sorted[place + 1];
    if (next === undefined || next === address) return [];
    const length = commonBits(address, next) + 1;
    return [cidrOf(address, length), cidrOf(next, length)];
  });
  return [...subnets, ...closer, ...LABELS.map(([block]) => block), ...SCOPES.map(([block]) => block)];
}

/** The addresses that may be chosen as a source for anywhere: not secondary, of global scope. */
function universal({ addresses }: NetworkInterface, family: Family): readonly InterfaceAddress[] {
  return addresses.filter(
    ({ address, scope, isSecondary }) =>
      familyOf(address) === family && isSecondary !== true && (scope ?? "global") === "global",
  );
}

function selectSource6(
  host: HostView,
  device: NetworkInterface | undefined,
  destination: IpAddress,
): IpAddress | undefined {
  const wanted = { destination, scope: scope6(destination), label: labelOf(destination) };
  const usesOwnOnly =
    isMulticast(destination) ||
    wanted.scope <= LINK_SCOPE ||
    sysctlOf(host, device?.name ?? "", "use_oif_addrs_only") > 0;
  // Most often the interface has an address that no other's can beat, of thousands that a host may have.
  const suffices = (device?.addresses ?? []).some(
    (own) => mayBeSource(own) && own.isDeprecated !== true && scope6(own.address) === wanted.scope,
  );
  const others = host.state.interfaces.filter((one) => one !== device);
  const asked = usesOwnOnly || (suffices && !host.router.isLocal(destination)) ? [device] : [device, ...others];
  const candidates = asked.flatMap((one) => {
    const prefersTemporary = sysctlOf(host, one?.name ?? "", "use_tempaddr") >= 2;
    return (one?.addresses ?? [])
      .filter(mayBeSource)
      .map((own) => ({ own, score: scoreOf(own, { ...wanted, isOutgoing: one === device, prefersTemporary }) }));
  });
  const better = (a: readonly number[], b: readonly number[]) => {
    const index = a.findIndex((part, at) => part !== b[at]);
    return index >= 0 && (a[index] ?? 0) > (b[index] ?? 0);
  };
  const [first, ...rest] = candidates;
  return rest.reduce((best, one) => (best === undefined || better(one.score, best.score) ? one : best), first)?.own
    .address;
}

function mayBeSource({ address, isTentative }: InterfaceAddress): boolean {
  return familyOf(address) === 6 && isTentative !== true && !isMulticast(address);
}

function sysctlOf({ router }: HostView, device: string, name: string): number {
  return router.sysctl(`net.ipv6.conf.${device}.${name}`) ?? 0;
}

interface Wanted {
  readonly destination: IpAddress;
  readonly scope: number;
  readonly label: number;
  readonly isOutgoing: boolean;
  readonly prefersTemporary: boolean;
}

/** RFC 6724's rules 1, 2, 3, 5, 6, 7 and 8, each better the higher. */
function scoreOf(
  { address, prefixLength, isDeprecated, isTemporary }: InterfaceAddress,
  { destination, scope: wanted, label, isOutgoing, prefersTemporary }: Wanted,
): readonly number[] {
  const scope = scope6(address);
  return [
    address === destination ? 1 : 0,
    // The smallest scope that reaches far enough; of those that do not, the widest.
    scope >= wanted ? -scope : scope - FAR,
    isDeprecated === true ? 0 : 1,
    isOutgoing ? 1 : 0,
    labelOf(address) === label ? 1 : 0,
    (isTemporary === true) === prefersTemporary ? 1 : 0,
    Math.min(commonBits(address, destination), prefixLength),
  ];
}

const LINK_SCOPE = 2;
const SITE_SCOPE = 5;
const GLOBAL_SCOPE = 14;
const FAR = 128;

const SCOPES: readonly (readonly [Cidr, number])[] = [
  [block("::1/128"), LINK_SCOPE],
  [block("fe80::/10"), LINK_SCOPE],
  [block("fec0::/10"), SITE_SCOPE],
];

/** The kernel's own table, the longest first; `ip addrlabel` may change it. @see linux net/ipv6/addrlabel.c */
const LABELS: readonly (readonly [Cidr, number])[] = [
  [block("::1/128"), 0],
  [block("::ffff:0:0/96"), 4],
  [block("::/96"), 3],
  [block("2001::/32"), 6],
  [block("2001:10::/28"), 7],
  [block("2002::/16"), 2],
  [block("3ffe::/16"), 12],
  [block("fec0::/10"), 11],
  [block("fc00::/7"), 5],
];

const OTHER_LABEL = 1;

function labelOf(address: IpAddress): number {
  return LABELS.find(([within]) => cidrContains(within, address))?.[1] ?? OTHER_LABEL;
}

function scope6(address: IpAddress): number {
  return SCOPES.find(([within]) => cidrContains(within, address))?.[1] ?? GLOBAL_SCOPE;
}

function isMulticast(address: IpAddress): boolean {
  return cidrContains(MULTICAST, address);
}

const MULTICAST = block("ff00::/8");

function block(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new TypeError(`not a block of addresses: ${text}`);
  return cidr;
}

function commonBits(a: IpAddress, b: IpAddress): number {
  const difference = addressBits(a) ^ addressBits(b);
  return addressWidth(familyOf(a)) - (difference === 0n ? 0 : difference.toString(2).length);
}
