import { formatCidr, formatSocketAddress, type Host, type Service, type Topology } from "@svcproxy/topology";
import type { ClusterObject } from "./cluster-store.ts";

/** The objects that a cluster would have for a topology, by kind. */
export function clusterObjects({ hosts, services }: Topology): ReadonlyMap<string, readonly ClusterObject[]> {
  return new Map([
    ["Node", hosts.map(nodeOf)],
    ["Service", services.map(serviceOf)],
    ["EndpointSlice", services.flatMap(slicesOf)],
  ]);
}

function nodeOf({ name, addresses, podCIDRs, zone }: Omit<Host, "pods">): ClusterObject {
  return {
    ...{ apiVersion: "v1", kind: "Node" },
    metadata: { name, labels: zone === undefined ? {} : { "topology.kubernetes.io/zone": zone } },
    spec: { podCIDR: podCIDRs.map(formatCidr)[0] ?? "", podCIDRs: podCIDRs.map(formatCidr) },
    status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
  };
}

function serviceOf({ name, namespace, clusterIPs, ports }: Service): ClusterObject {
  const hasNodePort = ports.some(({ nodePort }) => nodePort !== undefined);
  return {
    ...{ apiVersion: "v1", kind: "Service", metadata: { name, namespace } },
    spec: {
      ...{ type: hasNodePort ? "NodePort" : "ClusterIP", clusterIP: clusterIPs[0], clusterIPs },
      ports: ports.map(({ name: portName, port, protocol, nodePort }) => ({
        ...{ name: portName, port, protocol: protocol.toUpperCase() },
        ...(nodePort === undefined ? {} : { nodePort }),
      })),
    },
  };
}

/** One a port, because each may have endpoints of its own. */
function slicesOf({ name, namespace, ports }: Service): readonly ClusterObject[] {
  return ports.flatMap((port, index) =>
    port.endpoints.map((endpoint) => ({
      ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice" },
      metadata: {
        name: `${name}-${index}-${formatSocketAddress(endpoint).replace(/[^a-z0-9]/g, "-")}`,
        ...{ namespace, labels: { "kubernetes.io/service-name": name } },
      },
      addressType: endpoint.address.includes(":") ? "IPv6" : "IPv4",
      ports: [{ name: port.name, port: endpoint.port, protocol: port.protocol.toUpperCase() }],
      endpoints: [
        {
          addresses: [endpoint.address],
          ...(endpoint.host === undefined ? {} : { nodeName: endpoint.host }),
          conditions: { ready: endpoint.ready, serving: endpoint.serving, terminating: endpoint.terminating },
        },
      ],
    })),
  );
}
