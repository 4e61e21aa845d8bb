import type { Cidr, IpAddress, Port, Protocol } from "./address.ts";

/** Hosts, pods and services as read from a topology file or from Kubernetes objects; everything in it has been checked. */
export interface Topology {
  /** What it was read from. */
  readonly source: "topology" | "kubernetes";
  readonly hosts: readonly Host[];
  readonly services: readonly Service[];
  readonly node: NodeSettings;
}

export interface Host {
  readonly name: string;
  /** At least one; the first of a family is the host's address in that family. */
  readonly addresses: readonly IpAddress[];
  /** At most one a family. */
  readonly podCIDRs: readonly Cidr[];
  readonly zone?: string;
  /** In the file's order. */
  readonly pods: readonly Pod[];
}

/** What Kubernetes calls an endpoint's conditions. */
export interface EndpointConditions {
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
}

/** Topology hints: for which zones and nodes an endpoint is meant; both empty where it has none. */
export interface EndpointHints {
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

export interface Pod extends EndpointConditions {
  readonly name: string;
  /** At most one a family; the port is the one that services without a `targetPort` use. */
  readonly addresses: readonly PodAddress[];
  readonly hints: EndpointHints;
}

export interface PodAddress {
  readonly address: IpAddress;
  readonly port?: Port;
}

export interface Service {
  /** `default` where the file says none. */
  readonly namespace: string;
  readonly name: string;
  /** As the user gave it; ends the name of the service's chain where rules are the founding document's. */
  readonly id?: string;
  /** At most one a family; empty for a headless service. */
  readonly clusterIPs: readonly IpAddress[];
  readonly externalIPs: readonly IpAddress[];
  /** Only those whose traffic is delivered to the VIP (`ipMode: VIP`). */
  readonly loadBalancerIPs: readonly IpAddress[];
  /** Who may use the load-balancer IPs, per family; none of a family: everyone. */
  readonly loadBalancerSourceRanges: readonly Cidr[];
  readonly internalTrafficPolicy: TrafficPolicy;
  /** `Cluster` where the service cannot be reached from outside. */
  readonly externalTrafficPolicy: TrafficPolicy;
  readonly sessionAffinity?: SessionAffinity;
  /** Only where it counts: a load-balanced service with `externalTrafficPolicy: Local`. */
  readonly healthCheckNodePort?: Port;
  /** Header that the userspace proxy sends to endpoints. */
  readonly proxyProtocol?: "v1" | "v2";
  readonly ports: readonly ServicePort[];
}

export type TrafficPolicy = "Cluster" | "Local";

/** ClientIP affinity. */
export interface SessionAffinity {
  readonly timeoutSeconds: number;
}

export interface ServicePort {
  /** Empty where it has none. */
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: Port;
  readonly nodePort?: Port;
  /** External and load-balancer IPs of the service where another service has this port already: it is not served there. */
  readonly takenAt?: readonly IpAddress[];
  /** Both families, ready or not, in the order listed; each `address:port` once. */
  readonly endpoints: readonly Endpoint[];
}

/** Address and port that serve, with what the choice among them needs. */
export interface Endpoint extends EndpointConditions {
  readonly address: IpAddress;
  readonly port: Port;
  /** The pod's name, where one of the topology's pods owns the address. */
  readonly pod?: string;
  /** The host that runs it; undefined where none of the topology's does. */
  readonly host?: string;
  readonly hints: EndpointHints;
}

/** How a host tells its own pods' traffic from the rest; KubeProxyConfiguration's `detectLocalMode`. */
export type DetectLocal =
  | { readonly mode: "ClusterCIDR" }
  | { readonly mode: "NodeCIDR" }
  | { readonly mode: "BridgeInterface"; readonly bridgeInterface: string }
  | { readonly mode: "InterfaceNamePrefix"; readonly interfaceNamePrefix: string };

/** Settings of the data path, with KubeProxyConfiguration's meaning. */
export interface NodeSettings {
  /** Undefined: ClusterCIDR where `clusterCIDRs` is given, else NodeCIDR where the host has a podCIDR. */
  readonly detectLocal?: DetectLocal;
  readonly clusterCIDRs: readonly Cidr[];
  readonly masqueradeAll: boolean;
  /** 0–31; 14 is mark 0x4000. */
  readonly masqueradeBit: number;
  /** Which of the host's addresses serve NodePorts; none of a family: all of them. */
  readonly nodePortAddresses: readonly Cidr[];
  /** `primary` among `nodePortAddresses`: the host's first address of each family serves NodePorts, besides the blocks. */
  readonly nodePortsOnPrimaryAddress: boolean;
  /** NodePorts on 127.0.0.0/8 (IPv4 only). */
  readonly localhostNodePorts: boolean;
  /** Blocks that ClusterIPs are taken from, and nothing else; empty: not known. */
  readonly serviceCIDRs: readonly Cidr[];
  /** Clients that each map of session affinity remembers at most, where a data path has such maps. */
  readonly affinityTableSize: number;
}

/** Each entry takes some 200 bytes of the kernel's memory: more would be gigabytes. */
export const MAX_AFFINITY_TABLE_SIZE = 16_777_216;

export const DEFAULT_NODE_SETTINGS: NodeSettings = {
  clusterCIDRs: [],
  masqueradeAll: false,
  masqueradeBit: 14,
  nodePortAddresses: [],
  nodePortsOnPrimaryAddress: false,
  localhostNodePorts: false,
  serviceCIDRs: [],
  affinityTableSize: 65_536,
};
