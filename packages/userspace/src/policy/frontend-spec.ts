import {
  type Cidr,
  type ClientKind,
  type Endpoint,
  type Frontend,
  familyOf,
  formatSocketAddress,
  type Handling,
  type HostPlan,
  type IpAddress,
  type Port,
  type ServicePortPlan,
} from "@svcproxy/topology";
import type { FrontendPlace } from "../contract.ts";

/** One address and port to serve, as plain data: it crosses to worker processes. */
export interface FrontendSpec extends FrontendPlace {
  readonly protocol: "tcp" | "udp";
  /** What a client sticks by: one choice for all frontends of a service's port in a family. */
  readonly affinityKey: string;
  /** 0: no affinity. */
  readonly affinityTimeoutMs: number;
  /** Empty: everyone. */
  readonly sourceRanges: readonly Cidr[];
  readonly proxyProtocol?: "v1" | "v2";
  readonly clients: Readonly<Record<ClientKind, Treatment>>;
}

export type Treatment =
  | { readonly kind: "forward"; readonly endpoints: readonly EndpointTarget[] }
  | { readonly kind: "refuse" }
  | { readonly kind: "drop" };

export interface EndpointTarget {
  /** `tcp 10.5.75.2:3000`. */
  readonly key: string;
  readonly address: IpAddress;
  readonly port: Port;
}

/** An endpoint that the plan lists, usable or not: connections to it outlive a change of the plan. */
export interface ListedEndpoint extends EndpointTarget {
  readonly protocol: "tcp" | "udp";
  readonly pod?: string;
  readonly services: readonly string[];
}

/** A HostPlan as listeners see it. */
export interface ServedPlan {
  /** By key; where two frontends want the same address and port the first has it. */
  readonly frontends: ReadonlyMap<string, FrontendSpec>;
  readonly endpoints: readonly ListedEndpoint[];
  /** Sources that count as this host's pods. */
  readonly podCidrs: readonly Cidr[];
  /** SCTP: nobody can serve it. */
  readonly unsupported: readonly FrontendPlace[];
}

/** What the machine adds to a plan. */
export interface HostAddresses {
  /** Blocks of the addresses that interfaces carry, for pod detection by interface. */
  readonly interfaces: readonly { readonly name: string; readonly cidr: Cidr }[];
}

/** Turns the promise into addresses to listen on. */
export function compileFrontends(plan: HostPlan, host: HostAddresses): ServedPlan {
  const frontends = new Map<string, FrontendSpec>();
  const unsupported: FrontendPlace[] = [];
  const targets = { tcp: new TargetBook("tcp"), udp: new TargetBook("udp") };
  for (const servicePort of plan.ports) {
    for (const frontend of servicePort.frontends) {
      for (const address of frontend.addresses) {
        const { protocol } = servicePort.port;
        const place = placeOf(servicePort, { frontend, address });
        if (protocol === "sctp") unsupported.push(place);
        else if (!frontends.has(place.key)) {
          frontends.set(place.key, { ...place, protocol, ...policyOf(servicePort, frontend, targets[protocol]) });
        }
      }
    }
  }
  return {
    frontends,
    endpoints: listEndpoints(plan, targets),
    podCidrs: podCidrs(plan, host),
    unsupported,
  };
}

function placeOf(
  { service, port }: ServicePortPlan,
  { frontend, address }: { frontend: Frontend; address: IpAddress },
): FrontendPlace {
  return {
    key: `${port.protocol} ${formatSocketAddress({ address, port: frontend.port })}`,
    protocol: port.protocol,
    address,
    port: frontend.port,
    kind: frontend.kind,
    service: `${service.namespace}/${service.name}`,
    portName: port.name,
  };
}

function policyOf(
  servicePort: ServicePortPlan,
  frontend: Frontend,
  targets: TargetBook,
): Pick<FrontendSpec, "affinityKey" | "affinityTimeoutMs" | "sourceRanges" | "proxyProtocol" | "clients"> {
  const { service, portIndex, family, affinity } = servicePort;
  const { pod, host, outside } = frontend.clients;
  return {
    affinityKey: `${service.namespace}/${service.name}#${portIndex}/${family}`,
    affinityTimeoutMs: (affinity?.timeoutSeconds ?? 0) * 1000,
    sourceRanges: frontend.sourceRanges,
    ...(service.proxyProtocol === undefined || targets.protocol === "udp"
      ? {}
      : { proxyProtocol: service.proxyProtocol }),
    clients: { pod: targets.treat(pod), host: targets.treat(host), outside: targets.treat(outside) },
  };
}

/** The endpoints of a plan as targets, each made once: plans share lists of endpoints between frontends and kinds of clients. */
class TargetBook {
  readonly protocol: "tcp" | "udp";
  readonly #targets = new Map<Endpoint, EndpointTarget>();
  readonly #treatments = new Map<readonly Endpoint[], Treatment>();

  constructor(protocol: "tcp" | "udp") {
    this.protocol = protocol;
  }

  treat(handling: Handling): Treatment {
    if (handling.kind !== "forward") return { kind: handling.kind };
    const known = this.#treatments.get(handling.endpoints);
    if (known !== undefined) return known;
    const endpoints = handling.endpoints.map((endpoint) => this.targetOf(endpoint));
    const treatment: Treatment = { kind: "forward", endpoints };
    this.#treatments.set(handling.endpoints, treatment);
    return treatment;
  }

  targetOf(endpoint: Endpoint): EndpointTarget {
    const known = this.#targets.get(endpoint);
    if (known !== undefined) return known;
    const { address, port } = endpoint;
    const target = { key: `${this.protocol} ${formatSocketAddress({ address, port })}`, address, port };
    this.#targets.set(endpoint, target);
    return target;
  }
}

function listEndpoints(plan: HostPlan, targets: Record<"tcp" | "udp", TargetBook>): readonly ListedEndpoint[] {
  const listed = new Map<string, Omit<ListedEndpoint, "services"> & { services: Set<string> }>();
  for (const { service, port, family, onward } of plan.ports) {
    if (port.protocol === "sctp") continue;
    const loops = new Set(onward.filter(({ isLoop }) => isLoop).map(({ endpoint }) => endpoint));
    const name = `${service.namespace}/${service.name}`;
    for (const endpoint of port.endpoints) {
      if (familyOf(endpoint.address) !== family || loops.has(endpoint)) continue;
      const target = targets[port.protocol].targetOf(endpoint);
      const known = listed.get(target.key);
      if (known === undefined) {
        const pod = endpoint.pod === undefined ? {} : { pod: endpoint.pod };
        listed.set(target.key, { ...target, protocol: port.protocol, ...pod, services: new Set([name]) });
      } else known.services.add(name);
    }
  }
  return [...listed.values()].map((endpoint) => ({ ...endpoint, services: [...endpoint.services] }));
}

/**
 * Rules see the interface that a packet came in by; a proxy sees the client's address only, so it goes by the interface's
 * subnet. Where each pod has a route and no interface a subnet (as Calico does it) it goes by the host's blocks of pods.
 */
function podCidrs({ podDetector, host }: HostPlan, { interfaces }: HostAddresses): readonly Cidr[] {
  const subnetsOf = (isOfPods: (name: string) => boolean): readonly Cidr[] => {
    const subnets = interfaces
      .filter(({ name, cidr }) => isOfPods(name) && cidr.prefixLength < (familyOf(cidr.address) === 4 ? 32 : 128))
      .map(({ cidr }) => cidr);
    return subnets.length === 0 ? host.podCIDRs : subnets;
  };
  switch (podDetector.kind) {
    case "none":
      return [];
    case "source":
      return podDetector.cidrs;
    case "bridge":
      return subnetsOf((name) => name === podDetector.interface);
    case "interfacePrefix":
      return subnetsOf((name) => name.startsWith(podDetector.prefix));
  }
}

/**
 * Whether it listens. Where no kind of client gets anywhere by it nobody does, so that the kernel refuses at once; but a
 * UDP client that is owed silence has it only from a socket that takes its datagrams and says nothing.
 */
export function listens({ protocol, clients }: FrontendSpec): boolean {
  return Object.values(clients).some(({ kind }) => kind === "forward" || (kind === "drop" && protocol === "udp"));
}
