import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import type { Family, Protocol } from "@svcproxy/topology";
import { flowAddress } from "./flow-addresses.ts";
import { type FlowAgent, startFlowAgent } from "./flow-agent.ts";
import type { FlowClient, FlowEndpoint } from "./flow-table.ts";

/** The host of golden/features, its pods, and the rest of the world. */
export interface FlowWorld extends AsyncDisposable {
  readonly host: NetworkNamespace;
  /** Dials for a client, from where that client is. */
  readonly agentOf: (client: FlowClient) => FlowAgent;
}

const FAMILIES = [4, 6] as const;
const IN_PODS: readonly FlowEndpoint[] = ["web-1", "dns-1"];
const BEHIND_OVERLAY = ["web-2", "web-3", "sig-1"] as const;
const BEHIND_UPLINK = ["abroad", "outside", "stranger"] as const;
const SERVED: readonly (readonly [FlowEndpoint, Protocol, number])[] = [
  ...(["web-1", "web-2", "web-3"] as const).flatMap((name) => [
    [name, "tcp", 8080] as const,
    [name, "tcp", 9001] as const,
  ]),
  ["dns-1", "tcp", 53],
  ["dns-1", "udp", 53],
  ["sig-1", "sctp", 2905],
  ["abroad", "tcp", 443],
];
/** The host's own address on its links to pods, and on the one to other hosts' pods. */
const GATEWAY = { 4: "10.20.0.1", 6: "fd20::1" } as const;
const OVERLAY = { 4: "10.20.0.0", 6: "fd20::ffff" } as const;

/**
 * Four namespaces: the host; the pods that serve on it, and a pod that only asks, each behind a link of its own; and one
 * with everything else, by two links: the uplink, and one for the overlay that leads to other hosts' pods.
 */
export async function createFlowWorld(): Promise<FlowWorld> {
  await using stack = new AsyncDisposableStack();
  const [host, pods, pod, world] = [
    stack.use(await createNetworkNamespace()),
    stack.use(await createNetworkNamespace()),
    stack.use(await createNetworkNamespace()),
    stack.use(await createNetworkNamespace()),
  ];
  await shell(host, [
    "sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
    ...link("uplink", { to: world, peer: "eth0" }),
    ...FAMILIES.map((family) => ownAddress(flowAddress("host", family), "uplink")),
    "ip route add 192.0.2.0/24 dev uplink",
    "ip -6 route add 2001:db8:1::/64 dev uplink",
    "ip route add default via 192.0.2.11 dev uplink",
    "ip -6 route add default via 2001:db8:1::11 dev uplink",
    ...link("overlay", { to: world, peer: "eth1" }),
    ...FAMILIES.map((family) => ownAddress(OVERLAY[family], "overlay")),
    "ip route add 10.20.1.0/24 dev overlay",
    "ip -6 route add fd20:0:0:1::/64 dev overlay",
    ...link("pods", { to: pods, peer: "eth0" }),
    ...link("pod", { to: pod, peer: "eth0" }),
    ...["pods", "pod"].flatMap((device) => FAMILIES.map((family) => ownAddress(GATEWAY[family], device))),
    ...FAMILIES.flatMap((family) => [
      ...IN_PODS.map((name) => `ip route add ${flowAddress(name, family)} dev pods`),
      `ip route add ${flowAddress("pod", family)} dev pod`,
    ]),
  ]);
  await shell(world, [
    "ip link set eth0 up",
    "ip link set eth1 up",
    ownAddress("192.0.2.11", "eth0"),
    ownAddress("2001:db8:1::11", "eth0"),
    ...BEHIND_UPLINK.flatMap((name) => ownAddresses(name, "eth0")),
    ...BEHIND_OVERLAY.flatMap((name) => ownAddresses(name, "eth1")),
    "ip route add default via 192.0.2.10 dev eth0 onlink",
    "ip -6 route add default via 2001:db8:1::10 dev eth0 onlink",
    `ip route add 10.20.0.0/24 via ${OVERLAY[4]} dev eth1 onlink`,
    `ip -6 route add fd20::/64 via ${OVERLAY[6]} dev eth1 onlink`,
  ]);
  for (const [namespace, names] of [[pods, IN_PODS] as const, [pod, ["pod"]] as const]) {
    await shell(namespace, [
      "ip link set eth0 up",
      ...names.flatMap((name) => ownAddresses(name, "eth0")),
      `ip route add default via ${GATEWAY[4]} dev eth0 onlink`,
      `ip -6 route add default via ${GATEWAY[6]} dev eth0 onlink`,
    ]);
  }
  const agents = { host, pods, pod, world };
  const started = new Map<NetworkNamespace, FlowAgent>();
  for (const namespace of Object.values(agents)) started.set(namespace, stack.use(startFlowAgent(namespace)));
  const agentIn = (namespace: NetworkNamespace): FlowAgent => {
    const agent = started.get(namespace);
    if (agent === undefined) throw new TypeError("no agent in that namespace");
    return agent;
  };
  const serve = (namespace: NetworkNamespace, isThere: (name: FlowEndpoint) => boolean) =>
    agentIn(namespace).serve(
      SERVED.filter(([name]) => isThere(name)).flatMap(([name, protocol, port]) =>
        FAMILIES.map((family: Family) => ({ protocol, address: flowAddress(name, family), port })),
      ),
    );
  await serve(pods, (name) => IN_PODS.includes(name));
  await serve(world, (name) => !IN_PODS.includes(name));
  const places = { host, "web-1": pods, pod, outside: world, stranger: world } as const;
  const owned = stack.move();
  return {
    host,
    agentOf: (client) => agentIn(places[client]),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function shell(namespace: NetworkNamespace, lines: readonly string[]): Promise<unknown> {
  return namespace.run("sh", ["-e"], { input: lines.join("\n") });
}

/** A cable from the host to another namespace. */
function link(device: string, { to, peer }: { to: NetworkNamespace; peer: string }): string[] {
  return [`ip link add ${device} type veth peer name ${peer} netns ${to.pid}`, `ip link set ${device} up`];
}

function ownAddresses(name: FlowClient | FlowEndpoint, device: string): string[] {
  return FAMILIES.map((family) => ownAddress(flowAddress(name, family), device));
}

function ownAddress(address: string, device: string): string {
  return `ip address add ${address.includes(":") ? `${address}/128 nodad` : `${address}/32`} dev ${device}`;
}
