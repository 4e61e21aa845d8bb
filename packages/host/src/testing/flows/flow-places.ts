import { type Family, familyOf, type Host, type IpAddress, parseIpAddress, type Topology } from "@svcproxy/topology";
import type { FlowClient, FlowEndpoint, FlowFrontend } from "./flow.ts";

/** The host on which flows are played. */
export const EDGE = "edge";

/** Who is not in a topology, IPv4 and IPv6; `outside` is in the source ranges of features.yaml, `stranger` is not. */
const BEYOND: Readonly<Record<string, readonly [string, string]>> = {
  loopback: ["127.0.0.1", "::1"],
  outside: ["192.0.2.77", "2001:db8:1::77"],
  stranger: ["198.51.100.50", "2001:db8:aa::50"],
  abroad: ["198.51.100.7", "2001:db8:aa::7"],
  balancer: ["203.0.113.91", "2001:db8:ff::91"],
};

export interface FlowGround {
  readonly topology: Topology;
  readonly family: Family;
}

export function flowAddress(place: FlowClient | FlowEndpoint | FlowFrontend, ground: FlowGround): IpAddress {
  const ofFamily = addressesOf(place, ground.topology).filter((address) => familyOf(address) === ground.family);
  const address = ofFamily[place === "host's second address" ? 1 : 0];
  if (address === undefined) throw new TypeError(`${place} has no IPv${ground.family} address`);
  return address;
}

function addressesOf(place: string, topology: Topology): readonly IpAddress[] {
  const beyond = BEYOND[place];
  if (beyond !== undefined) return beyond.flatMap((text) => parseIpAddress(text) ?? []);
  if (place.startsWith("host")) return edgeOf(topology).addresses;
  const [name, kind] = place.split(" ");
  const service = topology.services.find((candidate) => candidate.name === name);
  if (service !== undefined && kind === "clusterIP") return service.clusterIPs;
  if (service !== undefined && kind === "externalIP") return service.externalIPs;
  if (service !== undefined && kind === "loadBalancerIP") return service.loadBalancerIPs;
  const pods = topology.hosts.flatMap((host) => host.pods);
  // Kubernetes' pods have their namespace before the name.
  const pod = pods.find((candidate) => candidate.name === place || candidate.name === `default/${place}`);
  return pod?.addresses.map(({ address }) => address) ?? [];
}

/** Where an address lives: the host, its pods that serve, its pod that only asks, other hosts' pods, all else. */
export type Quarter = "host" | "pods" | "pod" | "overlay" | "uplink";

export function quarterOf(address: IpAddress, { topology }: Pick<FlowGround, "topology">): Quarter {
  const edge = edgeOf(topology);
  const isLoopback = BEYOND["loopback"]?.includes(address) === true;
  if (isLoopback || edge.addresses.includes(address)) return "host";
  for (const host of topology.hosts) {
    const pod = host.pods.find(({ addresses }) => addresses.some((own) => own.address === address));
    if (pod === undefined) continue;
    if (host !== edge) return "overlay";
    return pod.name === "pod" || pod.name === "default/pod" ? "pod" : "pods";
  }
  return "uplink";
}

/** The host's device for each quarter but itself. */
export const DEVICES: Readonly<Record<Exclude<Quarter, "host">, string>> = {
  pods: "veth-pods",
  pod: "cni0",
  overlay: "overlay",
  uplink: "uplink",
};

export function edgeOf({ hosts }: Topology): Host {
  const edge = hosts.find(({ name }) => name === EDGE);
  if (edge === undefined) throw new TypeError(`the topology has no host ${EDGE}`);
  return edge;
}
