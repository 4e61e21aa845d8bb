import type { Machine } from "@svcproxy/host";
import { type Answer, type FlowAgent, machineInside, PROMPT_SYSCTLS, startFlowAgent } from "@svcproxy/host/testing";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import { familyOf, type IpAddress, type Protocol, parseIpAddress } from "@svcproxy/topology";
import { PODS_OF_BOTH, randomPod } from "./random-cluster.ts";

/** Where a client dials from. */
export interface Client {
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly at: "host" | "pods" | "pod" | "world";
}

/** A pod that serves, one that only asks, one of the other host, the host, and two from outside, one of them in the source ranges. */
export const CLIENTS: readonly Client[] = [
  { name: "serving pod", ...addressesOf(0), at: "pods" },
  { name: "pod", ipv4: "10.5.0.200", ipv6: "fd05::200", at: "pod" },
  { name: "far pod", ...addressesOf(PODS_OF_BOTH - 1), at: "world" },
  { name: "host", ipv4: "192.168.1.6", ipv6: "fd01::6", at: "host" },
  { name: "neighbour", ipv4: "192.168.1.100", ipv6: "fd01::100", at: "world" },
  { name: "stranger", ipv4: "172.20.0.9", ipv6: "fd99::9", at: "world" },
];

/** Pods that only ask, by number from 0; the first of them is the one in CLIENTS. */
export const ASKING_PODS: readonly Client[] = Array.from({ length: 50 }, (_, index) => ({
  name: `asking pod ${index}`,
  ...{ ipv4: `10.5.0.${200 + index}`, ipv6: `fd05::${200 + index}`, at: "pod" },
}));

function addressesOf(pod: number): Pick<Client, "ipv4" | "ipv6"> {
  const { ipv4, ipv6 } = randomPod(pod);
  return { ipv4, ipv6 };
}

/** Host one of a random cluster with its pods, and a world with the other host's pods and everybody else. */
export interface ServiceWorld extends AsyncDisposable {
  readonly host: NetworkNamespace;
  readonly pods: NetworkNamespace;
  readonly pod: NetworkNamespace;
  readonly world: NetworkNamespace;
  /** The host. */
  readonly machine: Machine;
  dial(client: Client, to: IpAddress, options: DialOptions): Promise<Answer>;
}

export interface DialOptions {
  readonly protocol: Protocol;
  readonly port: number;
  /** How long to wait before it counts as silence. */
  readonly seconds: number;
}

/** Blocks of VIPs, and the port of every pod. */
const VIPS = ["10.100.0.0/16", "203.0.113.0/24", "198.51.100.0/24"];
const VIPS_6 = ["fd10::/64", "fd20::/64", "fd21::/64"];
const POD_PORT = 8080;

export async function createServiceWorld(): Promise<ServiceWorld> {
  await using stack = new AsyncDisposableStack();
  const agent: FlowAgent = stack.use(startFlowAgent());
  const create = async () => stack.use(await createNetworkNamespace());
  const [host, pods, pod, world] = await Promise.all([create(), create(), create(), create()]);
  const places = { host, pods, pod, world };
  const served = { pods: [] as IpAddress[], world: [] as IpAddress[] };
  for (let index = 0; index < PODS_OF_BOTH; index++) {
    const { ipv4, ipv6 } = randomPod(index);
    served[index < PODS_OF_BOTH / 2 ? "pods" : "world"].push(address(ipv4), address(ipv6));
  }
  await Promise.all([host, pods, pod, world].map((namespace) => shell(namespace, PROMPT_SYSCTLS)));
  await shell(host, [
    "sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
    ...cable("pods", pods),
    ...cable("pod", pod),
    ...cable("far", world),
    ...cable("uplink", world, "eth1"),
    "ip address add 10.5.0.1/24 dev pods",
    "ip address add fd05::1/64 dev pods",
    "ip address add 10.5.0.1/32 dev pod",
    "ip address add fd05::1/128 dev pod",
    ...ASKING_PODS.flatMap(({ ipv4, ipv6 }) => [`ip route add ${ipv4} dev pod`, `ip route add ${ipv6} dev pod`]),
    "ip address add 192.168.1.6/24 dev uplink",
    "ip address add fd01::6/64 dev uplink",
    "ip address add 10.5.9.1/32 dev far",
    "ip address add fd05:9::1/128 dev far",
    "ip route add 10.5.1.0/24 dev far",
    "ip route add fd05:1::/64 dev far",
    "ip route add default via 192.168.1.100 dev uplink",
    "ip -6 route add default via fd01::100 dev uplink",
  ]);
  const podCommands = (addresses: readonly string[]) => [
    "ip link set eth0 up",
    ...addresses.map((each) => `ip address add ${each}/${isIpv6(each) ? 128 : 32} dev eth0`),
    "ip route add default via 10.5.0.1 dev eth0 onlink",
    "ip -6 route add default via fd05::1 dev eth0 onlink",
  ];
  await shell(pods, podCommands(served.pods));
  await shell(pod, podCommands(ASKING_PODS.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6])));
  await shell(world, [
    "sysctl -q -w net.ipv4.conf.all.arp_ignore=1",
    "ip link set eth0 up",
    "ip link set eth1 up",
    ...served.world.map((each) => `ip address add ${each}/${isIpv6(each) ? 128 : 32} dev eth0`),
    ...["192.168.1.100/24", "fd01::100/64", "192.168.1.7/24", "fd01::7/64", "172.20.0.9/32", "fd99::9/128"].map(
      (each) => `ip address add ${each} dev eth1`,
    ),
    "ip route add 10.5.9.1 dev eth0",
    "ip route add fd05:9::1 dev eth0",
    ...VIPS.map((block) => `ip route add ${block} via 192.168.1.6`),
    ...VIPS_6.map((block) => `ip route add ${block} via fd01::6`),
    // A pod asks and is answered by way of the overlay, as is what the host's own address there asked.
    "ip route add 10.5.0.0/24 via 10.5.9.1 dev eth0 onlink",
    "ip route add fd05::/64 via fd05:9::1 dev eth0 onlink",
    "ip rule add from 10.5.1.0/24 table 100",
    "ip -6 rule add from fd05:1::/64 table 100",
    "ip route add default via 10.5.9.1 dev eth0 onlink table 100",
    "ip -6 route add default via fd05:9::1 dev eth0 onlink table 100",
  ]);
  const protocols: readonly Protocol[] = ["tcp", "udp", "sctp"];
  await Promise.all(
    Object.entries(served).map(([place, addresses]) =>
      agent.serve(
        place === "pods" ? pods : world,
        addresses.flatMap((each) => protocols.map((protocol) => ({ protocol, address: each, port: POD_PORT }))),
      ),
    ),
  );
  const owned = stack.move();
  return {
    ...places,
    machine: machineInside(host),
    dial: (client, to, options) =>
      agent.dial(places[client.at], {
        ...options,
        ...{ from: address(familyOf(to) === 4 ? client.ipv4 : client.ipv6), to },
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A cable from the host to another namespace, where its end is called `peer`. */
function cable(device: string, to: NetworkNamespace, peer = "eth0"): readonly string[] {
  return [`ip link add ${device} type veth peer name ${peer} netns ${to.pid}`, `ip link set ${device} up`];
}

function shell(namespace: NetworkNamespace, lines: readonly string[]): Promise<unknown> {
  return namespace.run("sh", ["-e"], { input: lines.join("\n") });
}

function isIpv6(text: string): boolean {
  return text.includes(":");
}

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(`not an address: ${text}`);
  return parsed;
}
