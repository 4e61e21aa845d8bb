import type { Cidr, Family, IpAddress, Port } from "../address.ts";
import type { Endpoint, Host, NodeSettings, Service, ServicePort, SessionAffinity } from "../model.ts";

/**
 * The promise, free of any technology: what one host does with a new connection to each frontend.
 * Each data path carries a HostPlan out; the prover checks a rule set against it.
 */
export interface HostPlan {
  readonly host: Host;
  /** Every host of the topology, `host` included, in the file's order: the order of pods follows from it. */
  readonly hosts: readonly Host[];
  readonly node: NodeSettings;
  /** How this host tells its own pods from other clients. */
  readonly podDetector: PodDetector;
  readonly nodePortAddresses: Readonly<Record<Family, NodePortAddresses>>;
  /** In the topology's order: services, then their ports, then families (the order of `clusterIPs`). */
  readonly ports: readonly ServicePortPlan[];
  /** Ports on which the host answers how many endpoints it has; TCP. */
  readonly healthChecks: readonly HealthCheck[];
}

/** Where this host serves NodePorts of one family. */
export interface NodePortAddresses {
  /** As far as they are known, to the topology or of the machine where it was looked at; 127.0.0.1 stands for all of loopback. */
  readonly addresses: readonly IpAddress[];
  /** Whether they are served on every address of the host but loopback, those that nobody knew of included. */
  readonly everyHostAddress: boolean;
}

/** One port of one service in one family. */
export interface ServicePortPlan {
  readonly service: Service;
  readonly port: ServicePort;
  /** 0-based place of `port` in `service.ports`. */
  readonly portIndex: number;
  readonly family: Family;
  /** Endpoints for traffic under policy Cluster, in the order listed. */
  readonly clusterEndpoints: readonly Endpoint[];
  /** Endpoints on this host, for traffic under policy Local, in the order listed. */
  readonly localEndpoints: readonly Endpoint[];
  /** Every endpoint that some client may reach through some frontend here: each once, in the order listed. */
  readonly reachableEndpoints: readonly Endpoint[];
  /** Those of its usable endpoints that are frontends of the topology themselves. */
  readonly onward: readonly OnwardEndpoint[];
  /** Whether there is a usable endpoint anywhere, be it out of reach from here. */
  readonly hasEndpoints: boolean;
  readonly affinity?: SessionAffinity;
  readonly frontends: readonly Frontend[];
}

/** An endpoint that is itself a VIP of the topology, or a NodePort of one of its hosts. */
export interface OnwardEndpoint {
  readonly endpoint: Endpoint;
  /** The frontend that it is. */
  readonly kind: FrontendKind;
  /** `namespace/name` of the service that has this frontend. */
  readonly service: string;
  /** Whether it leads back to the port that has it: then it is left out, on every host. */
  readonly isLoop: boolean;
}

export type FrontendKind = "clusterIP" | "externalIP" | "loadBalancerIP" | "nodePort";

/** What clients dial; a NodePort has the plan's `nodePortAddresses`, any other its one address. */
export interface Frontend extends NodePortAddresses {
  readonly kind: FrontendKind;
  readonly port: Port;
  /**
   * Who may use it; empty: everyone. Others are dropped, unless nobody serves it: then all are refused alike. Where a range
   * holds an address of the host, the host may also come from the load-balancer IP itself, which it may own.
   */
  readonly sourceRanges: readonly Cidr[];
  /** What a new connection gets, by where its client is. */
  readonly clients: Readonly<Record<ClientKind, Handling>>;
}

/** `pod`: the detector says so; `host`: the source is an address of this host; `outside`: neither. `host` wins over `pod`. */
export type ClientKind = "pod" | "host" | "outside";

export type Handling =
  | {
      readonly kind: "forward";
      /** At least one; each gets an equal share. */
      readonly endpoints: readonly Endpoint[];
      /** Why the source address is rewritten; `hairpin` alone: only where the endpoint is the client itself. */
      readonly masquerade: MasqueradeReason;
    }
  /** Nobody serves it: the client learns at once. */
  | { readonly kind: "refuse" }
  /** Endpoints elsewhere only, under policy Local: silence. */
  | { readonly kind: "drop" };

export type MasqueradeReason =
  | "hairpin"
  /** Came in by a NodePort, external or load-balancer IP under policy Cluster: the reply must come back here. */
  | "external"
  /** The host's own traffic: its address is not routed on the overlay. */
  | "host"
  /** To a ClusterIP from a client that is not one of this host's pods. */
  | "not-a-pod"
  | "masquerade-all";

export type PodDetector =
  | { readonly kind: "none" }
  /** At most one block a family. */
  | { readonly kind: "source"; readonly cidrs: readonly Cidr[] }
  | { readonly kind: "bridge"; readonly interface: string }
  | { readonly kind: "interfacePrefix"; readonly prefix: string };

export interface HealthCheck {
  readonly service: Service;
  readonly port: Port;
  /** Ready endpoints on this host, each address once: of IPv4, or of IPv6 where the service has no IPv4. */
  readonly localReadyEndpoints: number;
  /** Where it is answered: `nodePortAddresses` holds for it too. Absent: on every address of the host. */
  readonly addresses?: readonly IpAddress[];
}
