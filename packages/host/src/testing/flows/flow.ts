import type { Family, Protocol } from "@svcproxy/topology";

/** What the first packet of a connection meets. Written from what a Service promises, not from our rules. */
export interface Flow {
  readonly name: string;
  /** Who dials. */
  readonly from: FlowClient;
  readonly to: FlowFrontend;
  readonly port: number;
  /** Default `tcp`. */
  readonly protocol?: Protocol;
  /** Those that do not promise it. */
  readonly except?: readonly RuleStyle[];
  /** It exists in one family only. */
  readonly family?: Family;
  readonly expected: FlowExpectation;
}

export type FlowExpectation =
  | {
      /** Each of them gets its share, on this port. */
      readonly endpoints: readonly FlowEndpoint[];
      readonly port: number;
      /** Whether the endpoint sees another address than the client's; `hairpin`: only where it is the client itself. */
      readonly masquerade: boolean | "hairpin";
      /** A client is kept to the endpoint that it got first. */
      readonly sticky?: true;
    }
  | "refused"
  | "dropped"
  /** No service's business, but nobody gets in: loopback, from a neighbour. */
  | "kept off"
  /** No service's business: it gets where it was sent, to a program of the host's own or out by the uplink, as it was. */
  | { readonly leftTo: "host" | "world" };

/** A pod by its name, the host by its own or its loopback address, or somebody from outside of the topology. */
export type FlowClient = FlowEndpoint | "host" | "loopback" | "outside" | "stranger";

/** A pod by its name; `abroad` is an endpoint that no host of the topology runs. */
export type FlowEndpoint = string;

export type FlowFrontend =
  /** The host's own addresses: NodePorts. */
  | "host"
  | "host's second address"
  | "loopback"
  /** A load balancer that takes connections itself (`ipMode: Proxy`). */
  | "balancer"
  /** A service's address. */
  | `${string} ${"clusterIP" | "externalIP" | "loadBalancerIP"}`;

/** A topology with its settings, and what clients meet on host edge. */
export interface FlowScenario {
  readonly name: string;
  /** A topology, or Kubernetes objects. */
  readonly file: URL;
  /** What a KubeProxyConfiguration says beside its kind; it goes before the topology's own settings. */
  readonly configuration?: Readonly<Record<string, unknown>>;
  readonly flows: readonly Flow[];
}

/** Whose way of serving it is. Flows that one of them does not promise name it. */
export type RuleStyle = "document" | "kubernetes" | "nftables" | "userspace";

export interface FlowCarrier {
  readonly style: RuleStyle;
  /** Default: TCP, UDP and SCTP. */
  readonly protocols?: readonly Protocol[];
}

/** The flows that a data path promises in a family. */
export function flowsOf({ flows }: FlowScenario, carrier: FlowCarrier, family: Family): readonly Flow[] {
  return flows.filter(
    (flow) =>
      flow.except?.includes(carrier.style) !== true &&
      (carrier.protocols ?? ["tcp", "udp", "sctp"]).includes(flow.protocol ?? "tcp") &&
      (flow.family ?? family) === family,
  );
}
