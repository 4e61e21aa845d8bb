import {
  addressBits,
  addressFromBits,
  addressWidth,
  type Cidr,
  cidrContains,
  cidrOf,
  cidrsOverlap,
  EnvironmentError,
  type Family,
  familyOf,
  type IpAddress,
  parseCidr,
  type Topology,
} from "@svcproxy/topology";

/** The network between the hosts, in one family. */
export interface Underlay {
  readonly family: Family;
  /** How far a host's address reaches: the block that all of them share, or 32/128 where they share none. */
  readonly prefixLength: number;
  readonly gateway: IpAddress;
  readonly client: IpAddress;
}

/** Blocks for the gateway and the client where the hosts share no block: documentation and benchmark networks. */
const SPARE_BLOCKS: Readonly<Record<Family, readonly string[]>> = {
  4: ["198.18.0.0/24", "203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24", "198.19.255.0/24"],
  6: ["2001:db8:ffff:ffff::/64", "2001:db8:ffff:fffe::/64", "fdff:ffff:ffff:ffff::/64"],
};

/**
 * Addresses of the underlay. Hosts of one /24 (/64) form one network, as on a LAN; others reach each other over routes to
 * each single address.
 *
 * @returns undefined where no host has an address of this family
 * @throws EnvironmentError LAB_NO_SPARE_ADDRESS where the topology uses up every block that could hold gateway and client
 */
export function planUnderlay(topology: Topology, family: Family): Underlay | undefined {
  const hosts = topology.hosts.flatMap((host) => host.addresses).filter((address) => familyOf(address) === family);
  const [first] = hosts;
  if (first === undefined) return undefined;
  const taken = takenBlocks(topology, family);
  const shared = cidrOf(first, family === 4 ? 24 : 64);
  const isLan =
    hosts.every((address) => cidrContains(shared, address)) &&
    !taken.networks.some((cidr) => cidrsOverlap(cidr, shared));
  const blocks = isLan ? [shared] : SPARE_BLOCKS[family].flatMap((text) => parseCidr(text) ?? []);
  for (const block of blocks) {
    if (!isLan && [...taken.networks, ...taken.addresses].some((cidr) => cidrsOverlap(cidr, block))) continue;
    const free = freeAddresses(block, taken.addresses);
    const [client, gateway] = [free.at(-1), free.at(0)];
    if (gateway === undefined || client === undefined || gateway === client) continue;
    return { family, prefixLength: isLan ? shared.prefixLength : addressWidth(family), gateway, client };
  }
  throw new EnvironmentError(
    "LAB_NO_SPARE_ADDRESS",
    `The topology leaves no IPv${family} address for the lab's client`,
    {
      hint: `Leave one of ${SPARE_BLOCKS[family].join(", ")} unused`,
    },
  );
}

interface TakenBlocks {
  readonly networks: readonly Cidr[];
  readonly addresses: readonly Cidr[];
}

function takenBlocks({ hosts, services }: Topology, family: Family): TakenBlocks {
  const single = (address: IpAddress) => cidrOf(address, addressWidth(familyOf(address)));
  const addresses = [
    ...hosts.flatMap((host) => [
      ...host.addresses,
      ...host.pods.flatMap((pod) => pod.addresses.map((at) => at.address)),
    ]),
    ...services.flatMap((service) => [
      ...service.clusterIPs,
      ...service.externalIPs,
      ...service.loadBalancerIPs,
      ...service.ports.flatMap((port) => port.endpoints.map((endpoint) => endpoint.address)),
    ]),
  ];
  const ofFamily = (cidr: Cidr) => familyOf(cidr.address) === family;
  return {
    networks: hosts.flatMap((host) => host.podCIDRs).filter(ofFamily),
    addresses: addresses.map(single).filter(ofFamily),
  };
}

/** The first and the last addresses of a block that nobody has; neither its network nor its broadcast address. */
function freeAddresses(block: Cidr, taken: readonly Cidr[]): readonly IpAddress[] {
  const family = familyOf(block.address);
  const base = addressBits(block.address);
  const used = new Set(taken.map((cidr) => cidr.address));
  return Array.from({ length: 254 }, (_, index) => addressFromBits(family, base + BigInt(index + 1))).filter(
    (address) => !used.has(address),
  );
}

/** The bridge's address: the first of the podCIDR. The overlay device has the one before it. */
export function firstPodAddress(cidr: Cidr): IpAddress {
  const family = familyOf(cidr.address);
  const own = addressBits(cidr.address);
  return addressFromBits(family, cidr.prefixLength < addressWidth(family) ? own + 1n : own);
}
