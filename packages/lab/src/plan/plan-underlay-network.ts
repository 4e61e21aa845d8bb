import { familyOf, formatCidr, type Host, type IpAddress, type Topology } from "@svcproxy/topology";
import type { NamespaceSetup } from "./lab-plan.ts";
import type { PlacedHost } from "./name-places.ts";
import { addressIn, podCidr } from "./plan-overlay.ts";
import { planSysctls } from "./plan-sysctls.ts";
import type { Underlay } from "./plan-underlay.ts";
import { addAddress, defaultRoute, single, widthOf } from "./route-lines.ts";

export interface UnderlayNetworkInput {
  readonly topology: Topology;
  readonly hosts: readonly PlacedHost[];
  readonly strangers: readonly IpAddress[];
  readonly underlays: readonly Underlay[];
  readonly rpFilter: boolean;
}

/** The client's side: one cable into the hosts' network and a default route. */
export function setUpClient(input: UnderlayNetworkInput): NamespaceSetup {
  return {
    namespace: "client",
    sysctls: planSysctls({ rpFilter: input.rpFilter, forwards: false }),
    ip: [
      "link set lo up",
      "link set eth0 up",
      ...input.underlays.flatMap(({ client, gateway, prefixLength }) => [
        addAddress(client, prefixLength, "eth0"),
        defaultRoute(gateway),
      ]),
      ...routesToVips(input, "eth0"),
    ],
    bridge: [],
  };
}

/** The router of the hosts' network: it holds the bridge, knows every pod network, and has the endpoints that are not a host's. */
export function setUpGateway(input: UnderlayNetworkInput): NamespaceSetup {
  const { topology, hosts, strangers, underlays } = input;
  return {
    namespace: "gateway",
    sysctls: planSysctls({ rpFilter: false, forwards: true }),
    ip: [
      "link set lo up",
      "link add underlay type bridge mcast_snooping 0",
      "link set underlay up",
      ...hosts.map(({ index }) => `link set host${index} master underlay up`),
      "link set client master underlay up",
      ...underlays.flatMap((underlay) => [
        addAddress(underlay.gateway, underlay.prefixLength, "underlay"),
        ...onLinkRoutes(underlay, { hosts: topology.hosts, dev: "underlay" }),
        ...(underlay.prefixLength === widthOf(underlay.client)
          ? [`route add ${single(underlay.client)} dev underlay`]
          : []),
        ...topology.hosts.flatMap((host) => {
          const [cidr, via] = [podCidr(host, underlay.family), addressIn(host, underlay.family)];
          if (cidr === undefined || via === undefined) return [];
          return [`route add ${formatCidr(cidr)} via ${via} dev underlay onlink`];
        }),
      ]),
      ...strangers.map((address) => addAddress(address, widthOf(address), "underlay")),
      ...routesToVips(input, "underlay"),
    ],
    bridge: [],
  };
}

/** External and load-balancer IPs lead to the first host that has their family, as a router would learn it. */
function routesToVips({ topology, strangers }: UnderlayNetworkInput, dev: string): readonly string[] {
  const owned = new Set([...topology.hosts.flatMap((host) => host.addresses), ...strangers]);
  const vips = topology.services.flatMap((service) => [...service.externalIPs, ...service.loadBalancerIPs]);
  return [...new Set(vips)].flatMap((vip) => {
    const via = topology.hosts.flatMap((host) => addressIn(host, familyOf(vip)) ?? []).at(0);
    return owned.has(vip) || via === undefined ? [] : [`route add ${single(vip)} via ${via} dev ${dev} onlink`];
  });
}

/** Routes to each single host, where the hosts share no block. */
export function onLinkRoutes(
  underlay: Underlay,
  { hosts, dev }: { readonly hosts: readonly Host[]; readonly dev: string },
): readonly string[] {
  return hosts
    .flatMap((host) => host.addresses)
    .filter((address) => familyOf(address) === underlay.family && underlay.prefixLength === widthOf(address))
    .map((address) => `route add ${single(address)} dev ${dev}`);
}
