import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import type { IpAddress, Topology } from "@svcproxy/topology";
import { PROMPT_SYSCTLS } from "../prompt-sysctls.ts";
import type { FlowScenario } from "./flow.ts";
import { type Answer, type Dial, type Served, startFlowAgent } from "./flow-agent.ts";
import { DEVICES, edgeOf, flowAddress, type Quarter, quarterOf } from "./flow-places.ts";

/** The host of a scenario, its pods, and the rest of the world. */
export interface FlowWorld extends AsyncDisposable {
  readonly topology: Topology;
  readonly host: NetworkNamespace;
  /** Dials from where the client's address lives. */
  dial(dial: Dial): Promise<Answer>;
}

const FAMILIES = [4, 6] as const;
/** The host's own address on its links to pods, and on the one to other hosts' pods. */
export const GATEWAY = { 4: "10.20.0.1", 6: "fd20::1" } as const;
export const OVERLAY = { 4: "10.20.0.0", 6: "fd20::ffff" } as const;

/**
 * Four namespaces: the host; the pods that serve on it, behind a link of their own; the pod that only asks, behind a bridge;
 * and one with everything else, by two links: the uplink, and one for the overlay that leads to other hosts' pods.
 */
export async function createFlowWorld(scenario: FlowScenario, topology: Topology): Promise<FlowWorld> {
  await using stack = new AsyncDisposableStack();
  const agent = stack.use(startFlowAgent());
  const create = async () => stack.use(await createNetworkNamespace());
  const [host, pods, pod, world] = await Promise.all([create(), create(), create(), create()]);
  const namespaces = { host, pods, pod, overlay: world, uplink: world } as const;
  const served = servedIn(scenario, topology);
  const inhabitants = inhabitantsOf(topology, served);
  await Promise.all([host, pods, pod, world].map((namespace) => shell(namespace, PROMPT_SYSCTLS)));
  await shell(host, hostCommands({ topology, inhabitants, namespaces }));
  await Promise.all([
    shell(pods, podCommands(inhabitants("pods"))),
    shell(pod, podCommands(inhabitants("pod"))),
    shell(world, worldCommands(inhabitants)),
  ]);
  const namespaceOf = (address: IpAddress) => namespaces[quarterOf(address, { topology })];
  const servedBy = Map.groupBy(served, ({ address }) => namespaceOf(address));
  await Promise.all([...servedBy].map(([namespace, there]) => agent.serve(namespace, there)));
  const owned = stack.move();
  return {
    ...{ topology, host },
    dial: (dial) => agent.dial(namespaceOf(dial.from), dial),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Every endpoint, ready or not, and whoever is to get what belongs to no service. */
function servedIn({ flows }: FlowScenario, topology: Topology): readonly Served[] {
  const endpoints = topology.services
    .flatMap(({ ports }) => ports)
    .flatMap((port) => port.endpoints.map((endpoint) => ({ ...endpoint, protocol: port.protocol })));
  const others = flows.flatMap(({ expected, family, to, port, protocol = "tcp" }) =>
    typeof expected === "object" && "leftTo" in expected
      ? FAMILIES.filter((each) => (family ?? each) === each).map((each) => ({
          ...{ protocol, port, address: flowAddress(to, { topology, family: each }) },
        }))
      : [],
  );
  const byText = new Map(
    [...endpoints, ...others].map(({ protocol, address, port }) => {
      return [`${protocol} ${address} ${port}`, { protocol, address, port }];
    }),
  );
  return [...byText.values()];
}

/** Who lives in a quarter. */
type Inhabitants = (quarter: Quarter) => readonly IpAddress[];

function inhabitantsOf(topology: Topology, served: readonly Served[]): Inhabitants {
  const strangers = (["outside", "stranger"] as const).flatMap((name) =>
    FAMILIES.map((family) => flowAddress(name, { topology, family })),
  );
  const pods = topology.hosts.flatMap((host) => host.pods.flatMap((pod) => pod.addresses));
  const everybody = new Set([...strangers, ...[...pods, ...served].map(({ address }) => address)]);
  return (quarter) => [...everybody].filter((address) => quarterOf(address, { topology }) === quarter);
}

interface HostInput {
  readonly topology: Topology;
  readonly inhabitants: Inhabitants;
  readonly namespaces: Readonly<Record<Quarter, NetworkNamespace>>;
}

function hostCommands({ topology, inhabitants, namespaces }: HostInput): readonly string[] {
  const { pods, pod: bridge, overlay, uplink } = DEVICES;
  return [
    "sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
    ...link(uplink, { to: namespaces.uplink, peer: "eth0" }),
    ...edgeOf(topology).addresses.map((address) => ownAddress(address, uplink)),
    `ip route add 192.0.2.0/24 dev ${uplink}`,
    `ip -6 route add 2001:db8:1::/64 dev ${uplink}`,
    `ip route add default via 192.0.2.11 dev ${uplink}`,
    `ip -6 route add default via 2001:db8:1::11 dev ${uplink}`,
    ...link(overlay, { to: namespaces.overlay, peer: "eth1" }),
    ...FAMILIES.map((family) => ownAddress(OVERLAY[family], overlay)),
    `ip route add 10.20.1.0/24 dev ${overlay}`,
    `ip -6 route add fd20:0:0:1::/64 dev ${overlay}`,
    ...link(pods, { to: namespaces.pods, peer: "eth0" }),
    ...link("pod", { to: namespaces.pod, peer: "eth0" }),
    `ip link add ${bridge} type bridge`,
    `ip link set pod master ${bridge}`,
    `ip link set ${bridge} up`,
    ...[pods, bridge].flatMap((device) => FAMILIES.map((family) => ownAddress(GATEWAY[family], device))),
    ...(["pods", "pod"] as const).flatMap((quarter) =>
      inhabitants(quarter).map((address) => `ip route add ${address} dev ${DEVICES[quarter]}`),
    ),
  ];
}

function podCommands(addresses: readonly IpAddress[]): readonly string[] {
  return [
    "ip link set eth0 up",
    ...addresses.map((address) => ownAddress(address, "eth0")),
    ...FAMILIES.map((family) => `ip -${family} route add default via ${GATEWAY[family]} dev eth0 onlink`),
    ...sendLoopbackTo(GATEWAY[4]),
  ];
}

function worldCommands(inhabitants: Inhabitants): readonly string[] {
  return [
    "ip link set eth0 up",
    "ip link set eth1 up",
    ...["192.0.2.11", "2001:db8:1::11", ...inhabitants("uplink")].map((address) => ownAddress(address, "eth0")),
    ...inhabitants("overlay").map((address) => ownAddress(address, "eth1")),
    "ip route add default via 192.0.2.10 dev eth0 onlink",
    "ip -6 route add default via 2001:db8:1::10 dev eth0 onlink",
    `ip route add 10.20.0.0/24 via ${OVERLAY[4]} dev eth1 onlink`,
    `ip -6 route add fd20::/64 via ${OVERLAY[6]} dev eth1 onlink`,
    ...sendLoopbackTo("192.0.2.10"),
  ];
}

/** Neighbours mean no good: what they send to 127.0.0.1 goes out to the host, in frames with its MAC. */
function sendLoopbackTo(gateway: string): readonly string[] {
  return [
    "ip address del 127.0.0.1/8 dev lo",
    "sysctl -q -w net.ipv4.conf.all.route_localnet=1",
    `ip route add 127.0.0.0/8 via ${gateway} dev eth0 onlink`,
  ];
}

function shell(namespace: NetworkNamespace, lines: readonly string[]): Promise<unknown> {
  return namespace.run("sh", ["-e"], { input: lines.join("\n") });
}

/** A cable from the host to another namespace. */
function link(device: string, { to, peer }: { to: NetworkNamespace; peer: string }): readonly string[] {
  return [`ip link add ${device} type veth peer name ${peer} netns ${to.pid}`, `ip link set ${device} up`];
}

function ownAddress(address: string, device: string): string {
  // Else an IPv6 address cannot be bound until the kernel's queue has come to it, which a busy machine shows.
  return `ip address add ${address.includes(":") ? `${address}/128 nodad` : `${address}/32`} dev ${device}`;
}
