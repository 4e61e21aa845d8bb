import type { Cidr, Family, IpAddress } from "./address.ts";
import { cidrContains, familyOf } from "./address.ts";
import { chooseEndpoints, isExternallyReachable } from "./choose-endpoints.ts";
import { inputError } from "./errors.ts";
import type {
  Deviation,
  Dialect,
  Frontend,
  FrontendKind,
  Handling,
  HealthCheck,
  HostPlan,
  MasqueradeReason,
  PodDetector,
  ServicePortPlan,
} from "./host-plan.ts";
import type { Endpoint, Host, NodeSettings, Service, ServicePort, Topology } from "./model.ts";

export interface PlanOptions {
  /** Name of the host for which the plan is made. */
  readonly host: string;
  readonly dialect: Dialect;
}

/**
 * Decides what `host` promises: the one place where policy is made.
 *
 * @throws InputError UNKNOWN_HOST where the topology lists no such host
 */
export function planHost(topology: Topology, { host: name, dialect }: PlanOptions): HostPlan {
  const host = topology.hosts.find((candidate) => candidate.name === name);
  if (host === undefined) {
    const known = topology.hosts.map((candidate) => JSON.stringify(candidate.name)).join(", ");
    throw inputError("UNKNOWN_HOST", `Cannot plan for host ${JSON.stringify(name)}: the topology does not list it`, {
      hint: known === "" ? "List the host under `hosts:`" : `Known hosts: ${known}`,
    });
  }
  const context: PlanContext = { host, dialect, node: topology.node, podDetector: detectPods(host, topology.node) };
  return {
    ...context,
    hosts: topology.hosts,
    ports: topology.services.flatMap((service) =>
      service.ports.flatMap((port, portIndex) =>
        servedFamilies(service).map((family) => planPort(context, { service, port, portIndex, family })),
      ),
    ),
    healthChecks: topology.services.flatMap((service) => planHealthCheck(host, service)),
    deviations: dialect === "document" ? DOCUMENT_DEVIATIONS : [],
  };
}

interface PlanContext {
  readonly host: Host;
  readonly dialect: Dialect;
  readonly node: NodeSettings;
  readonly podDetector: PodDetector;
}

interface PlannedPort {
  readonly service: Service;
  readonly port: ServicePort;
  readonly portIndex: number;
  readonly family: Family;
}

/** A service without a ClusterIP is headless: nothing to do, as in Kubernetes. */
function servedFamilies(service: Service): readonly Family[] {
  return [...new Set(service.clusterIPs.map(familyOf))];
}

function detectPods(host: Host, node: NodeSettings): PodDetector {
  const mode = node.detectLocal?.mode ?? (node.clusterCIDRs.length > 0 ? "ClusterCIDR" : "NodeCIDR");
  switch (mode) {
    case "ClusterCIDR":
      return sourceDetector(node.clusterCIDRs);
    case "NodeCIDR":
      return sourceDetector(host.podCIDRs);
    default:
      return node.detectLocal?.mode === "BridgeInterface"
        ? { kind: "bridge", interface: node.detectLocal.bridgeInterface }
        : node.detectLocal?.mode === "InterfaceNamePrefix"
          ? { kind: "interfacePrefix", prefix: node.detectLocal.interfaceNamePrefix }
          : { kind: "none" };
  }
}

function sourceDetector(cidrs: readonly Cidr[]): PodDetector {
  return cidrs.length === 0 ? { kind: "none" } : { kind: "source", cidrs };
}

function planPort(context: PlanContext, planned: PlannedPort): ServicePortPlan {
  const { service, port, family } = planned;
  const choice = chooseEndpoints(port, { family, host: context.host });
  const ofFamily = (addresses: readonly IpAddress[]) => addresses.filter((address) => familyOf(address) === family);
  const internal = internalHandling(context, { service, family, ...choice });
  const external = externalHandling(context, { service, family, ...choice });
  const sourceRanges = service.loadBalancerSourceRanges.filter((range) => familyOf(range.address) === family);

  const frontend = (kind: FrontendKind, addresses: readonly IpAddress[]): Frontend => ({
    kind,
    addresses,
    everyHostAddress: false,
    port: port.port,
    sourceRanges: kind === "loadBalancerIP" ? sourceRanges : [],
    clients: kind === "clusterIP" ? internal : external,
  });
  const frontends: Frontend[] = ofFamily(service.clusterIPs).map((address) => frontend("clusterIP", [address]));
  for (const address of ofFamily(service.externalIPs)) frontends.push(frontend("externalIP", [address]));
  for (const address of ofFamily(service.loadBalancerIPs)) frontends.push(frontend("loadBalancerIP", [address]));
  if (port.nodePort !== undefined) {
    const listed = context.node.nodePortAddresses.filter((cidr) => familyOf(cidr.address) === family);
    const everyHostAddress = listed.length === 0 || listed.some((cidr) => cidr.prefixLength === 0);
    frontends.push({
      ...frontend("nodePort", nodePortAddresses(context, { family, listed, everyHostAddress })),
      port: port.nodePort,
      everyHostAddress,
    });
  }

  const usesCluster = service.internalTrafficPolicy === "Cluster" || isExternallyReachable(service, port);
  const usesLocal =
    service.internalTrafficPolicy === "Local" ||
    (service.externalTrafficPolicy === "Local" && isExternallyReachable(service, port));
  const reachable = new Set([...(usesCluster ? choice.cluster : []), ...(usesLocal ? choice.local : [])]);
  return {
    ...planned,
    clusterEndpoints: choice.cluster,
    localEndpoints: choice.local,
    reachableEndpoints:
      reachable.size === choice.cluster.length && usesCluster
        ? choice.cluster
        : port.endpoints.filter((endpoint) => reachable.has(endpoint)),
    hasEndpoints: choice.hasEndpoints,
    ...(service.sessionAffinity === undefined ? {} : { affinity: service.sessionAffinity }),
    frontends,
  };
}

function nodePortAddresses(
  { host, node }: PlanContext,
  { family, listed, everyHostAddress }: { family: Family; listed: readonly Cidr[]; everyHostAddress: boolean },
): readonly IpAddress[] {
  const addresses = host.addresses.filter(
    (address) =>
      familyOf(address) === family && (everyHostAddress || listed.some((cidr) => cidrContains(cidr, address))),
  );
  const loopback = "127.0.0.1" as IpAddress;
  const onLoopback =
    family === 4 &&
    node.localhostNodePorts &&
    (everyHostAddress || listed.some((cidr) => cidrContains(cidr, loopback)));
  return onLoopback ? [...addresses, loopback] : addresses;
}

interface HandlingInput {
  readonly service: Service;
  readonly family: Family;
  readonly cluster: readonly Endpoint[];
  readonly local: readonly Endpoint[];
  readonly hasEndpoints: boolean;
}

function internalHandling(context: PlanContext, input: HandlingInput): Frontend["clients"] {
  const isLocal = input.service.internalTrafficPolicy === "Local";
  const endpoints = isLocal ? input.local : input.cluster;
  const handle = (reason: MasqueradeReason) =>
    forwardTo(endpoints, { reason: context.node.masqueradeAll ? "masquerade-all" : reason, input });
  const detects = detectsPods(context.podDetector, input.family);
  if (context.dialect === "document") {
    // The document's last rule rewrites whatever the host itself sends; nothing rewrites clients from outside.
    return { pod: handle("hairpin"), host: handle("host"), outside: handle("hairpin") };
  }
  return {
    pod: handle("hairpin"),
    host: handle(detects ? "host" : "hairpin"),
    outside: handle(detects ? "not-a-pod" : "hairpin"),
  };
}

function externalHandling(context: PlanContext, input: HandlingInput): Frontend["clients"] {
  if (input.service.externalTrafficPolicy === "Cluster") {
    const everyone = forwardTo(input.cluster, { reason: "external", input });
    return { pod: everyone, host: everyone, outside: everyone };
  }
  // Pods and the host itself are not sent away: for them policy Local counts as Cluster.
  const outside = forwardTo(input.local, { reason: "hairpin", input });
  return {
    pod: detectsPods(context.podDetector, input.family)
      ? forwardTo(input.cluster, { reason: "hairpin", input })
      : outside,
    host: forwardTo(input.cluster, { reason: "host", input }),
    outside,
  };
}

function forwardTo(
  endpoints: readonly Endpoint[],
  { reason, input }: { reason: MasqueradeReason; input: HandlingInput },
): Handling {
  if (endpoints.length > 0) return { kind: "forward", endpoints, masquerade: reason };
  return input.hasEndpoints ? { kind: "drop" } : { kind: "refuse" };
}

/** Whether the detector can tell a pod from other clients in this family. */
export function detectsPods(detector: PodDetector, family: Family): boolean {
  if (detector.kind === "none") return false;
  return detector.kind !== "source" || detector.cidrs.some((cidr) => familyOf(cidr.address) === family);
}

function planHealthCheck(host: Host, service: Service): readonly HealthCheck[] {
  if (service.healthCheckNodePort === undefined) return [];
  const ready = new Set<string>();
  for (const port of service.ports) {
    for (const endpoint of port.endpoints) {
      if (endpoint.host === host.name && endpoint.ready) ready.add(endpoint.pod ?? endpoint.address);
    }
  }
  return [{ service, port: service.healthCheckNodePort, localReadyEndpoints: ready.size }];
}

const DOCUMENT_DEVIATIONS: readonly Deviation[] = [
  {
    kind: "host-traffic-masqueraded",
    text: "The last POSTROUTING rule rewrites everything that the host sends from its address, also what goes to no service and what leaves from a second address",
  },
  {
    kind: "nodeport-on-loopback",
    text: "NodePorts match on 127.0.0.0/8 too, where no answer comes back (no route_localnet)",
  },
  {
    kind: "whole-mark",
    text: "The mark is set and compared whole, so another program's mark bits are overwritten, or keep a packet from being masqueraded",
  },
  {
    kind: "outside-clusterip-not-masqueraded",
    text: "A client outside the hosts that dials a ClusterIP keeps its address, so an endpoint on another host answers past this one",
  },
];
