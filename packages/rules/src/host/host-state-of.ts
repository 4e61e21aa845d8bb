import {
  addressBits,
  addressFromBits,
  addressWidth,
  type Cidr,
  cidrContains,
  cidrOf,
  type Family,
  familyOf,
  type Host,
  type IpAddress,
  inputError,
  parseCidr,
  servesNodePortsOnLocalhost,
  type Topology,
} from "@svcproxy/topology";
import type { HostState, InterfaceAddress, NetworkInterface, PolicyRule, Route } from "./host-state.ts";

export interface ImpliedHostOptions {
  /** Name of the host. */
  readonly host: string;
  /** Name of the device that leads to other hosts' pods; `none`: they are routed through their hosts. Default `flannel.1`. */
  readonly overlay?: string;
  /** Default `cni0`. */
  readonly bridge?: string;
  /** The interface with the host's own addresses. Default `eth0`. */
  readonly uplink?: string;
}

/**
 * The addresses, routes and sysctls that a host of the topology has where nothing else is known, as flannel sets them up:
 * its own addresses on the uplink, its pods on a bridge that has the first address of their block, an overlay device with
 * the block's address itself, a route by it to every other host's pods, and a default route. Forwarding is on, reverse-path
 * filtering strict, bridged packets are shown to iptables, and 127.0.0.0/8 stays on loopback unless it serves NodePorts.
 *
 * @throws InputError UNKNOWN_HOST
 */
export function hostStateOf(topology: Topology, options: ImpliedHostOptions): HostState {
  const { bridge = "cni0", uplink = "eth0", overlay = "flannel.1" } = options;
  const host = topology.hosts.find(({ name }) => name === options.host);
  if (host === undefined)
    throw inputError("UNKNOWN_HOST", `The topology lists no host ${JSON.stringify(options.host)}`, {
      hint: `Hosts of the topology: ${topology.hosts.map(({ name }) => JSON.stringify(name)).join(", ")}`,
    });
  const names = { bridge, uplink, overlay };
  const interfaces = interfacesOf(host, names);
  return {
    interfaces,
    routes: [...localRoutes(interfaces), ...mainRoutes(topology, { host, names })],
    policyRules: DEFAULT_POLICY_RULES,
    // NodePorts on 127.0.0.1 take it, and come with the rule that guards it.
    sysctls: servesNodePortsOnLocalhost(topology.node) ? { ...IMPLIED_SYSCTLS, ...TAKES_LOOPBACK } : IMPLIED_SYSCTLS,
  };
}

/** What every Linux host asks: its own addresses, then the main table. */
export const DEFAULT_POLICY_RULES: readonly PolicyRule[] = ([4, 6] as const).flatMap((family) => [
  { family, priority: 0, action: { kind: "table", table: "local" } },
  { family, priority: 32766, action: { kind: "table", table: "main" } },
  ...(family === 4 ? [{ family, priority: 32767, action: { kind: "table" as const, table: "default" } }] : []),
]);

export const IMPLIED_SYSCTLS: Readonly<Record<string, string>> = {
  "net.ipv4.ip_forward": "1",
  "net.ipv4.conf.all.rp_filter": "1",
  "net.ipv4.conf.all.route_localnet": "0",
  "net.ipv6.conf.all.forwarding": "1",
  "net.bridge.bridge-nf-call-iptables": "1",
  "net.bridge.bridge-nf-call-ip6tables": "1",
};

const TAKES_LOOPBACK = { "net.ipv4.conf.all.route_localnet": "1" };

interface DeviceNames {
  readonly bridge: string;
  readonly uplink: string;
  readonly overlay: string;
}

export const LOOPBACK: NetworkInterface = {
  name: "lo",
  isLoopback: true,
  addresses: [
    { address: block("127.0.0.1").address, prefixLength: 8, scope: "host" },
    { address: block("::1").address, prefixLength: 128, scope: "host" },
  ],
};

function interfacesOf(host: Host, { bridge, uplink, overlay }: DeviceNames): readonly NetworkInterface[] {
  return [
    LOOPBACK,
    { name: uplink, isLoopback: false, addresses: uplinkAddresses(host.addresses) },
    ...(overlay === "none"
      ? []
      : [{ name: overlay, isLoopback: false, linkKind: "vxlan", addresses: host.podCIDRs.map(overlayAddress) }]),
    { name: bridge, isLoopback: false, linkKind: "bridge", addresses: host.podCIDRs.map(bridgeAddress) },
  ];
}

/** The subnets in which hosts are neighbours: the topology does not say, and these are the usual ones. */
const UPLINK_PREFIX = { 4: 24, 6: 64 } as const;

function uplinkAddresses(addresses: readonly IpAddress[]): readonly InterfaceAddress[] {
  return addresses.map((address, index) => {
    const prefixLength = UPLINK_PREFIX[familyOf(address)];
    const subnet = cidrOf(address, prefixLength);
    const isSecondary = addresses.slice(0, index).some((earlier) => cidrContains(subnet, earlier));
    return { address, prefixLength, ...(isSecondary ? { isSecondary } : {}) };
  });
}

function overlayAddress({ address }: Cidr): InterfaceAddress {
  return { address, prefixLength: addressWidth(familyOf(address)) };
}

function bridgeAddress({ address, prefixLength }: Cidr): InterfaceAddress {
  const width = addressWidth(familyOf(address));
  const first = prefixLength === width ? address : addressFromBits(familyOf(address), addressBits(address) + 1n);
  return { address: first, prefixLength };
}

/**
 * The local table that the kernel keeps for these addresses. What broadcasts reach is in it too.
 */
export function localRoutes(interfaces: readonly NetworkInterface[]): readonly Route[] {
  return interfaces.flatMap((device) =>
    device.addresses.flatMap((own): readonly Route[] => {
      const at = { interface: device.name, metric: 0, table: "local" };
      const width = addressWidth(familyOf(own.address));
      const local: Route = { destination: cidrOf(own.address, width), type: "local", ...at };
      if (familyOf(own.address) === 6) return [local];
      const subnet = cidrOf(own.address, own.prefixLength);
      if (device.isLoopback) return [local, { destination: subnet, type: "local", ...at }];
      if (own.prefixLength >= 31) return [local];
      const last = addressBits(subnet.address) | ((1n << BigInt(width - own.prefixLength)) - 1n);
      return [local, { destination: cidrOf(addressFromBits(4, last), width), type: "broadcast", ...at }];
    }),
  );
}

function mainRoutes(topology: Topology, { host, names }: { host: Host; names: DeviceNames }): readonly Route[] {
  const at = (device: string) => ({ type: "unicast" as const, interface: device, metric: 0, table: "main" });
  const onLink = (device: string, addresses: readonly InterfaceAddress[]) =>
    addresses
      .filter(
        ({ address, prefixLength, isSecondary }) =>
          isSecondary !== true && prefixLength < addressWidth(familyOf(address)),
      )
      .map(
        ({ address, prefixLength }): Route => ({
          destination: cidrOf(address, prefixLength),
          preferredSource: address,
          ...at(device),
        }),
      );
  return [
    ...familiesOf(host).map((family): Route => ({ destination: EVERYWHERE[family], ...at(names.uplink) })),
    ...onLink(names.uplink, uplinkAddresses(host.addresses)),
    ...onLink(names.bridge, host.podCIDRs.map(bridgeAddress)),
    ...podRoutes(host, names.bridge),
    ...topology.hosts.filter((other) => other !== host).flatMap((other) => routesToPods(host, other, names)),
  ];
}

const EVERYWHERE: Readonly<Record<Family, Cidr>> = {
  4: block("0.0.0.0/0"),
  6: block("::/0"),
};

function block(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new TypeError(`not a block of addresses: ${text}`);
  return cidr;
}

function familiesOf({ addresses, podCIDRs }: Host): readonly Family[] {
  return [...new Set([...addresses, ...podCIDRs.map(({ address }) => address)].map(familyOf))];
}

/** Pods outside of their host's block are reached one by one. */
function podRoutes(host: Host, bridge: string): readonly Route[] {
  return host.pods
    .flatMap(({ addresses }) => addresses)
    .filter(
      ({ address }) =>
        !host.podCIDRs.some((block) => cidrContains(block, address)) && !host.addresses.includes(address),
    )
    .map(({ address }) => ({
      destination: cidrOf(address, addressWidth(familyOf(address))),
      type: "unicast",
      interface: bridge,
      metric: 0,
      table: "main",
    }));
}

function routesToPods(host: Host, other: Host, { overlay, uplink }: DeviceNames): readonly Route[] {
  return other.podCIDRs.flatMap((block): readonly Route[] => {
    const family = familyOf(block.address);
    const gateway =
      overlay === "none" ? other.addresses.find((address) => familyOf(address) === family) : block.address;
    if (gateway === undefined || !familiesOf(host).includes(family)) return [];
    const device = overlay === "none" ? uplink : overlay;
    return [{ destination: block, type: "unicast", interface: device, gateway, metric: 0, table: "main" }];
  });
}
