import {
  addressWidth,
  type Cidr,
  EnvironmentError,
  type Family,
  familyOf,
  formatCidr,
  type Host,
  type IpAddress,
  type Topology,
} from "@svcproxy/topology";
import type { Overlay } from "./lab-plan.ts";
import { single } from "./route-lines.ts";

/** What makes one host's pods reachable from another host, in one family of pod addresses. */
interface Carrier {
  readonly podFamily: Family;
  /** Family of the addresses between the hosts. */
  readonly hostFamily: Family;
}

export interface OverlayPlan {
  /** Largest packet that a pod may send, in bytes. */
  readonly podMtu: number;
  /** `ip -batch` lines for one host. */
  ip(host: Host): readonly string[];
  /** `bridge -batch` lines for one host. */
  bridge(host: Host): readonly string[];
  /** `ip -batch` lines for a single address of a peer's pod, one outside of any podCIDR. */
  routeTo(peer: Host, address: IpAddress): readonly string[];
}

const LINK_MTU = 1500;
/** What VXLAN puts before a packet: outer IP, UDP, VXLAN and inner Ethernet headers, in bytes. */
const VXLAN_OVERHEAD: Readonly<Record<Family, number>> = { 4: 50, 6: 70 };
const VXLAN_DEVICE: Readonly<Record<Family, string>> = { 4: "flannel.1", 6: "flannel-v6.1" };

/**
 * The way between the hosts' pods, laid as flannel's backends lay it.
 *
 * @throws EnvironmentError LAB_NO_OVERLAY where two hosts with pods of a family share no family of addresses to carry it
 */
export function planOverlay(topology: Topology, overlay: Overlay): OverlayPlan {
  const carriers = carriersOf(topology, overlay);
  return overlay === "vxlan" ? planVxlan(topology, carriers) : planHostGateway(topology, carriers);
}

/** Names of the VXLAN devices that a topology's hosts get: `flannel.1`, and `flannel-v6.1` where IPv6 carries it. */
export function vxlanDevices(topology: Topology): readonly string[] {
  return [...new Set(carriersOf(topology, "vxlan").map(({ hostFamily }) => VXLAN_DEVICE[hostFamily]))];
}

function carriersOf(topology: Topology, overlay: Overlay): readonly Carrier[] {
  return ([4, 6] as const).flatMap((podFamily) => carrierFor(topology, { podFamily, overlay }));
}

function carrierFor(topology: Topology, { podFamily, overlay }: { podFamily: Family; overlay: Overlay }): Carrier[] {
  const hosts = topology.hosts.filter((host) => podCidr(host, podFamily) !== undefined);
  if (hosts.length === 0) return [];
  const isCarriedBy = (family: Family) => hosts.every((host) => addressIn(host, family) !== undefined);
  const other = podFamily === 4 ? 6 : 4;
  if (isCarriedBy(podFamily)) return [{ podFamily, hostFamily: podFamily }];
  // IPv4 may have an IPv6 next hop (RFC 5549), not the other way round.
  if (isCarriedBy(other) && (overlay === "vxlan" || podFamily === 4)) return [{ podFamily, hostFamily: other }];
  if (hosts.length === 1) return [];
  const names = hosts.map((host) => JSON.stringify(host.name)).join(", ");
  throw new EnvironmentError(
    "LAB_NO_OVERLAY",
    `Cannot join the IPv${podFamily} pods of ${names}: no family of addresses is common to the hosts`,
    {
      hint: `Give each host an IPv${podFamily} address`,
    },
  );
}

function planVxlan(topology: Topology, carriers: readonly Carrier[]): OverlayPlan {
  const families = [...new Set(carriers.map(({ hostFamily }) => hostFamily))];
  const peers = (host: Host) => topology.hosts.filter((peer) => peer !== host);
  return {
    podMtu: Math.min(LINK_MTU, ...families.map((family) => LINK_MTU - VXLAN_OVERHEAD[family])),
    ip: (host) => [
      ...families.flatMap((family) => vxlanDevice(topology, { host, family })),
      ...carriers.flatMap(({ podFamily, hostFamily }) => {
        const dev = VXLAN_DEVICE[hostFamily];
        const own = podCidr(host, podFamily);
        if (own === undefined) return [];
        return [
          `addr add ${own.address}/${addressWidth(podFamily)} dev ${dev}${podFamily === 6 ? " nodad" : ""}`,
          ...peers(host).flatMap((peer) => {
            const cidr = podCidr(peer, podFamily);
            if (cidr === undefined) return [];
            return [
              `neigh replace ${cidr.address} lladdr ${vtepMac(topology, peer)} dev ${dev} nud permanent`,
              `route add ${formatCidr(cidr)} via ${cidr.address} dev ${dev} onlink`,
            ];
          }),
        ];
      }),
    ],
    bridge: (host) =>
      families.flatMap((family) =>
        peers(host).flatMap((peer) => {
          const address = addressIn(peer, family);
          if (address === undefined || addressIn(host, family) === undefined) return [];
          return [`fdb replace ${vtepMac(topology, peer)} dev ${VXLAN_DEVICE[family]} dst ${address} self permanent`];
        }),
      ),
    routeTo: (peer, address) => {
      const carrier = carriers.find(({ podFamily }) => podFamily === familyOf(address));
      if (carrier === undefined) return routeThrough(peer, { address, hostFamily: familyOf(address) });
      // Past the overlay the packet would come in where no way leads back, and rp_filter would drop it.
      const dev = VXLAN_DEVICE[carrier.hostFamily];
      return [
        `neigh replace ${address} lladdr ${vtepMac(topology, peer)} dev ${dev} nud permanent`,
        `route add ${single(address)} dev ${dev}`,
      ];
    },
  };
}

function vxlanDevice(topology: Topology, { host, family }: { host: Host; family: Family }): readonly string[] {
  const local = addressIn(host, family);
  if (local === undefined) return [];
  const dev = VXLAN_DEVICE[family];
  return [
    `link add ${dev} address ${vtepMac(topology, host)} mtu ${LINK_MTU - VXLAN_OVERHEAD[family]} type vxlan id 1 local ${local} dev eth0 dstport 8472 nolearning`,
    `link set ${dev} up`,
  ];
}

function planHostGateway(topology: Topology, carriers: readonly Carrier[]): OverlayPlan {
  return {
    podMtu: LINK_MTU,
    ip: (host) =>
      carriers.flatMap(({ podFamily, hostFamily }) =>
        topology.hosts.flatMap((peer) => {
          const cidr = podCidr(peer, podFamily);
          const via = addressIn(peer, hostFamily);
          if (peer === host || cidr === undefined || via === undefined) return [];
          return [`route add ${formatCidr(cidr)} via ${hostFamily === 6 ? "inet6 " : ""}${via} dev eth0 onlink`];
        }),
      ),
    bridge: () => [],
    routeTo: (peer, address) => {
      const carrier = carriers.find(({ podFamily }) => podFamily === familyOf(address));
      return routeThrough(peer, { address, hostFamily: carrier?.hostFamily ?? familyOf(address) });
    },
  };
}

/** A route to a peer's pod over the hosts' own network. */
function routeThrough(
  peer: Host,
  { address, hostFamily }: { readonly address: IpAddress; readonly hostFamily: Family },
): readonly string[] {
  const via = addressIn(peer, hostFamily);
  if (via === undefined) return [];
  return [`route add ${single(address)} via ${hostFamily === 6 ? "inet6 " : ""}${via} dev eth0 onlink`];
}

/** The hardware address of a host's VXLAN devices, known to all without asking. */
function vtepMac(topology: Topology, host: Host): string {
  const index = topology.hosts.indexOf(host) + 1;
  return [0x0e, 0xf1, 0, 0, index >> 8, index & 255].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** The host's first address of a family. */
export function addressIn(host: Host, family: Family): IpAddress | undefined {
  return host.addresses.find((address) => familyOf(address) === family);
}

export function podCidr(host: Host, family: Family): Cidr | undefined {
  return host.podCIDRs.find((cidr) => familyOf(cidr.address) === family);
}
