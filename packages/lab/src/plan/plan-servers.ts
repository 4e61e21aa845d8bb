import type { IpAddress, Port, Topology } from "@svcproxy/topology";
import type { PodServer } from "./lab-plan.ts";
import type { PlacedHost, PlacedPod } from "./name-places.ts";

interface ServersInput {
  readonly topology: Topology;
  readonly hosts: readonly PlacedHost[];
  /** Endpoints' addresses that are neither a host's nor a pod's. */
  readonly strangers: readonly IpAddress[];
}

/** Who answers on which addresses and ports: a pod's own port, and each port that a service sends to it. */
export function planServers({ topology, hosts, strangers }: ServersInput): readonly PodServer[] {
  const ports = portsByAddress(topology);
  const socketsAt = (address: IpAddress) => [...(ports.get(address) ?? [])].map((port) => ({ address, port }));
  const podServer = ({ pod, place, veth }: PlacedPod): PodServer => ({
    name: place.name,
    namespace: place.namespace,
    // Pods in their host's network share its addresses: each has just the ports that its own entry names.
    sockets: pod.addresses.flatMap(({ address, port }) => {
      if (veth !== undefined) return socketsAt(address);
      return port === undefined ? [] : [{ address, port }];
    }),
  });
  const pods = hosts.flatMap((host) => host.pods.map(podServer));
  const taken = new Set(pods.flatMap(({ sockets }) => sockets.map(({ address, port }) => `${address} ${port}`)));
  const hostServers = hosts.map(({ host, place }) => ({
    name: place.name,
    namespace: place.namespace,
    sockets: host.addresses.flatMap(socketsAt).filter(({ address, port }) => !taken.has(`${address} ${port}`)),
  }));
  const outside = strangers.map((address) => ({ name: address, namespace: "gateway", sockets: socketsAt(address) }));
  return [...pods, ...hostServers, ...outside].filter(({ sockets }) => sockets.length > 0);
}

function portsByAddress(topology: Topology): ReadonlyMap<IpAddress, ReadonlySet<Port>> {
  const ports = new Map<IpAddress, Set<Port>>();
  const add = (address: IpAddress, port: Port) => {
    const known = ports.get(address);
    if (known === undefined) ports.set(address, new Set([port]));
    else known.add(port);
  };
  for (const { pods } of topology.hosts) {
    for (const { address, port } of pods.flatMap((pod) => pod.addresses)) if (port !== undefined) add(address, port);
  }
  for (const { endpoints } of topology.services.flatMap((service) => service.ports)) {
    for (const { address, port } of endpoints) add(address, port);
  }
  return ports;
}
