import type { Cidr, Family, IpAddress, Port } from "./address.ts";
import type { Endpoint, Host, NodeSettings, Service, ServicePort, SessionAffinity } from "./model.ts";

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
  /** In the topology's order: services, then their ports, then families (the order of `clusterIPs`). */
  readonly ports: readonly ServicePortPlan[];
  /** Ports on which the host answers how many endpoints it has; TCP, the addresses that serve NodePorts. */
  readonly healthChecks: readonly HealthCheck[];
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
  /** Whether there is a usable endpoint anywhere, be it out of reach from here. */
  readonly hasEndpoints: boolean;
  readonly affinity?: SessionAffinity;
  readonly frontends: readonly Frontend[];
}

export type FrontendKind = "clusterIP" | "externalIP" | "loadBalancerIP" | "nodePort";

export interface Frontend {
  readonly kind: FrontendKind;
  /** What clients dial; for a NodePort the addresses that serve it, as far as the topology knows them. */
  readonly addresses: readonly IpAddress[];
  /** Set for a NodePort that is served on every address of the host, those that the topology does not know included. */
  readonly everyHostAddress: boolean;
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
  /** To a ClusterIP from a client that is none of this host's pods. */
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
  /** Ready endpoints on this host. */
  readonly localReadyEndpoints: number;
}
