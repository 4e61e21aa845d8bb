import type { IpAddress, Port } from "@svcproxy/topology";

export type Overlay = "vxlan" | "host-gw";

export type PlaceKind = "host" | "pod" | "client" | "gateway";

/** Where a command can run. */
export interface Place {
  /** What people type: the topology's name, or `KIND/NAME` where another place has that name already. */
  readonly name: string;
  readonly kind: PlaceKind;
  /** Name of its network namespace below `/run/netns`; a pod in its host's network shares the host's. */
  readonly namespace: string;
  /** The host that runs it, for a pod. */
  readonly host?: string;
  readonly addresses: readonly IpAddress[];
}

/** What is done in one network namespace, in this order: sysctls, `ip -batch`, `bridge -batch`, sysctls again for the new devices. */
export interface NamespaceSetup {
  readonly namespace: string;
  /** Below /proc/sys/net; a `*` stands for `all`, `default` and every device. */
  readonly sysctls: readonly (readonly [path: string, value: string])[];
  readonly ip: readonly string[];
  readonly bridge: readonly string[];
}

/** What answers in a pod's name: TCP and UDP on each of its sockets. */
export interface PodServer {
  readonly name: string;
  readonly namespace: string;
  readonly sockets: readonly { readonly address: IpAddress; readonly port: Port }[];
}

/** Everything that is done to build a lab, as a value. */
export interface LabPlan {
  readonly overlay: Overlay;
  /** Hosts, then pods, in the topology's order, then the client and the gateway. */
  readonly places: readonly Place[];
  /** `ip -batch` in the lab's outermost namespace: makes the namespaces, the underlay's bridge and all veth pairs. */
  readonly wiring: readonly string[];
  /** Independent of each other once the wiring is there. */
  readonly setups: readonly NamespaceSetup[];
  readonly servers: readonly PodServer[];
}
