import type { Family, IpAddress, Port } from "./address.ts";
import { familyOf } from "./address.ts";
import { chooseEndpoints, type EndpointChoice, isExternallyReachable } from "./choose-endpoints.ts";
import { detectPods, detectsPods } from "./detect-pods.ts";
import { inputError } from "./errors.ts";
import type {
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
import { nodePortAddresses } from "./node-port-addresses.ts";
import { quote } from "./quote.ts";

export interface PlanOptions {
  /** Name of the host for which the plan is made. */
  readonly host: string;
}

/**
 * Decides what `host` promises: the one place where policy is made.
 *
 * @throws InputError UNKNOWN_HOST where the topology lists no such host
 */
export function planHost(topology: Topology, { host: name }: PlanOptions): HostPlan {
  const host = topology.hosts.find((candidate) => candidate.name === name);
  if (host === undefined) {
    const known = topology.hosts.map((candidate) => quote(candidate.name)).join(", ");
    throw inputError("UNKNOWN_HOST", `Cannot plan for host ${quote(name)}: the topology does not list it`, {
      hint: known === "" ? "List the host under `hosts:`" : `Known hosts: ${known}`,
    });
  }
  const context: PlanContext = { host, node: topology.node, podDetector: detectPods(host, topology.node) };
  return {
    ...context,
    hosts: topology.hosts,
    ports: topology.services.flatMap((service) =>
      service.ports.flatMap((port, portIndex) =>
        servedFamilies(service).map((family) => planPort(context, { service, port, portIndex, family })),
      ),
    ),
    healthChecks: topology.services.flatMap((service) => planHealthCheck(host, service)),
  };
}

interface PlanContext {
  readonly host: Host;
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

function planPort(context: PlanContext, planned: PlannedPort): ServicePortPlan {
  const { service, port, family } = planned;
  const choice = chooseEndpoints(port, { family, host: context.host });
  const isExternal = isExternallyReachable(service, { port, family });
  const usesCluster = service.internalTrafficPolicy === "Cluster" || isExternal;
  const usesLocal =
    service.internalTrafficPolicy === "Local" || (service.externalTrafficPolicy === "Local" && isExternal);
  return {
    ...planned,
    clusterEndpoints: choice.cluster,
    localEndpoints: choice.local,
    reachableEndpoints: usesCluster && usesLocal ? unionOf(choice, port) : usesLocal ? choice.local : choice.cluster,
    hasEndpoints: choice.hasEndpoints,
    ...(service.sessionAffinity === undefined ? {} : { affinity: service.sessionAffinity }),
    frontends: planFrontends(context, { planned, choice }),
  };
}

/** In the order listed. */
function unionOf({ cluster, local }: EndpointChoice, { endpoints }: ServicePort): readonly Endpoint[] {
  const either = new Set([...cluster, ...local]);
  return either.size === cluster.length ? cluster : endpoints.filter((endpoint) => either.has(endpoint));
}

/** ClusterIP, external IPs, load-balancer IPs, NodePort. */
function planFrontends(
  context: PlanContext,
  { planned: { service, port, family }, choice }: { planned: PlannedPort; choice: EndpointChoice },
): readonly Frontend[] {
  const internal = internalHandling(context, { service, family, ...choice });
  const external = externalHandling(context, { service, family, ...choice });
  const sourceRanges = service.loadBalancerSourceRanges.filter((range) => familyOf(range.address) === family);
  const atAddresses = (kind: Exclude<FrontendKind, "nodePort">, addresses: readonly IpAddress[]): readonly Frontend[] =>
    addresses
      .filter((address) => familyOf(address) === family)
      .filter((address) => kind === "clusterIP" || port.takenAt?.includes(address) !== true)
      .map((address) => ({
        kind,
        addresses: [address],
        everyHostAddress: false,
        port: port.port,
        sourceRanges: kind === "loadBalancerIP" ? sourceRanges : [],
        clients: kind === "clusterIP" ? internal : external,
      }));
  const nodePort = (number: Port): Frontend => ({
    kind: "nodePort",
    ...nodePortAddresses({ family, ...context }),
    port: number,
    sourceRanges: [],
    clients: external,
  });
  return [
    ...atAddresses("clusterIP", service.clusterIPs),
    ...atAddresses("externalIP", service.externalIPs),
    ...atAddresses("loadBalancerIP", service.loadBalancerIPs),
    ...(port.nodePort === undefined ? [] : [nodePort(port.nodePort)]),
  ];
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
