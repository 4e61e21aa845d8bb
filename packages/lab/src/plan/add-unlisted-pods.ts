import {
  cidrContains,
  findOnwardEndpoints,
  type Host,
  type IpAddress,
  type Pod,
  type Topology,
} from "@svcproxy/topology";

export interface CompletedTopology {
  readonly topology: Topology;
  /** Endpoints' addresses that are neither a host's nor a pod's: they live outside. */
  readonly strangers: readonly IpAddress[];
}

/** Endpoints given as `ip:port` have no pod. Those inside of a host's podCIDR become pods named by their address. */
export function addUnlistedPods(listed: Topology): CompletedTopology {
  const topology = withoutFrontends(listed);
  const known = new Set<IpAddress>(
    topology.hosts.flatMap((host) => [
      ...host.addresses,
      ...host.pods.flatMap((pod) => pod.addresses.map(({ address }) => address)),
    ]),
  );
  const unknown = new Set<IpAddress>();
  for (const service of topology.services) {
    for (const port of service.ports) {
      for (const { address } of port.endpoints) if (!known.has(address)) unknown.add(address);
    }
  }
  const isIn = (host: Host, address: IpAddress) => host.podCIDRs.some((cidr) => cidrContains(cidr, address));
  const hosts = topology.hosts.map((host) => {
    const added = [...unknown].filter((address) => isIn(host, address)).map(podAt);
    return added.length === 0 ? host : { ...host, pods: [...host.pods, ...added] };
  });
  return {
    topology: { ...topology, hosts },
    strangers: [...unknown].filter((address) => !topology.hosts.some((host) => isIn(host, address))),
  };
}

/** An endpoint that is a VIP or a NodePort of the topology is served by whoever serves those: a lab starts nothing there. */
function withoutFrontends(topology: Topology): Topology {
  const onward = findOnwardEndpoints(topology);
  if (onward.size === 0) return topology;
  const services = topology.services.map((service) => {
    const ports = service.ports.map((port) => {
      const frontends = new Set(onward.get(port)?.map(({ endpoint }) => endpoint));
      return { ...port, endpoints: port.endpoints.filter((endpoint) => !frontends.has(endpoint)) };
    });
    return { ...service, ports };
  });
  return { ...topology, services };
}

function podAt(address: IpAddress): Pod {
  return {
    name: address,
    addresses: [{ address }],
    ready: true,
    serving: true,
    terminating: false,
    hints: { zones: [], nodes: [] },
  };
}
