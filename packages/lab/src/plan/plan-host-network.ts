import { cidrContains, type Family, familyOf, type Host, type IpAddress, type Topology } from "@svcproxy/topology";
import type { NamespaceSetup } from "./lab-plan.ts";
import type { PlacedHost, PlacedPod } from "./name-places.ts";
import { type OverlayPlan, podCidr } from "./plan-overlay.ts";
import { planSysctls } from "./plan-sysctls.ts";
import { firstPodAddress, type Underlay } from "./plan-underlay.ts";
import { onLinkRoutes } from "./plan-underlay-network.ts";
import { addAddress, defaultRoute, linkLocalGateway, single, widthOf } from "./route-lines.ts";

export interface HostNetworkInput {
  readonly topology: Topology;
  readonly hosts: readonly PlacedHost[];
  readonly underlays: readonly Underlay[];
  readonly overlay: OverlayPlan;
  readonly rpFilter: boolean;
}

/** A host: its place in the underlay, the pod bridge, the overlay. */
export function setUpHost(input: HostNetworkInput, placed: PlacedHost): NamespaceSetup {
  const { host } = placed;
  const outsiders = podsOutsideCidr(placed);
  return {
    namespace: placed.place.namespace,
    sysctls: planSysctls({ rpFilter: input.rpFilter, forwards: true }),
    ip: [
      "link set lo up",
      "link set eth0 up",
      ...input.underlays.flatMap((underlay) => joinUnderlay(input.topology, { host, underlay })),
      `link add cni0 address ${bridgeMac(placed.index)} mtu ${input.overlay.podMtu} type bridge mcast_snooping 0`,
      "link set cni0 up",
      ...host.podCIDRs.map((cidr) => addAddress(firstPodAddress(cidr), cidr.prefixLength, "cni0")),
      ...[...new Set(outsiders.map(familyOf))].map(outsidersGateway),
      ...placed.pods.flatMap(({ veth }) =>
        veth === undefined ? [] : [`link set ${veth} master cni0 up`, `link set ${veth} type bridge_slave hairpin on`],
      ),
      ...outsiders.map((address) => `route add ${single(address)} dev cni0`),
      ...input.overlay.ip(host),
      ...input.hosts
        .filter((peer) => peer !== placed)
        .flatMap((peer) => podsOutsideCidr(peer).flatMap((address) => input.overlay.routeTo(peer.host, address))),
    ],
    bridge: input.overlay.bridge(host),
  };
}

function joinUnderlay(
  { hosts }: Topology,
  { host, underlay }: { readonly host: Host; readonly underlay: Underlay },
): readonly string[] {
  const own = host.addresses.filter((address) => familyOf(address) === underlay.family);
  // Without an address of a family the host has no business in that family's network.
  if (own.length === 0) return [];
  return [
    ...own.map((address) => addAddress(address, underlay.prefixLength, "eth0")),
    ...onLinkRoutes(underlay, { hosts: hosts.filter((peer) => peer !== host), dev: "eth0" }),
    defaultRoute(underlay.gateway),
  ];
}

/** A pod: one cable into its host's bridge and a default route. Pods in their host's network need nothing. */
export function setUpPods(input: HostNetworkInput, { host, pods }: PlacedHost): readonly NamespaceSetup[] {
  return pods
    .filter(({ veth }) => veth !== undefined)
    .map(({ place }) => ({
      namespace: place.namespace,
      sysctls: planSysctls({ rpFilter: input.rpFilter, forwards: false }),
      ip: [
        "link set lo up",
        "link set eth0 up",
        ...place.addresses.flatMap((address) => {
          const cidr = podCidr(host, familyOf(address));
          return cidr !== undefined && cidrContains(cidr, address)
            ? [addAddress(address, cidr.prefixLength, "eth0"), defaultRoute(firstPodAddress(cidr))]
            : [addAddress(address, widthOf(address), "eth0"), outsiderDefaultRoute(familyOf(address))];
        }),
      ],
      bridge: [],
    }));
}

/** The end of a pod's cable in its host, and the pod's own. */
export function podCable(placed: PlacedHost, { place, veth }: PlacedPod, mtu: number): readonly string[] {
  if (veth === undefined) return [];
  const hostEnd = `${veth} mtu ${mtu} netns ${placed.place.namespace}`;
  return [`link add ${hostEnd} type veth peer name eth0 mtu ${mtu} netns ${place.namespace}`];
}

function podsOutsideCidr({ host, pods }: PlacedHost): readonly IpAddress[] {
  return pods
    .filter(({ veth }) => veth !== undefined)
    .flatMap(({ place }) => place.addresses)
    .filter((address) => !host.podCIDRs.some((cidr) => cidrContains(cidr, address)));
}

function outsidersGateway(family: Family): string {
  const width = family === 4 ? 32 : 64;
  return `addr add ${linkLocalGateway(family)}/${width} dev cni0 scope link${family === 6 ? " nodad" : ""}`;
}

function outsiderDefaultRoute(family: Family): string {
  return `route add ${family === 4 ? "0.0.0.0/0" : "::/0"} via ${linkLocalGateway(family)} dev eth0 onlink`;
}

/** A fixed hardware address: a bridge without one changes it with each port that joins. */
function bridgeMac(index: number): string {
  return [0x0e, 0xc0, 0, 0, index >> 8, index & 255].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
