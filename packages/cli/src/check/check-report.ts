import {
  type Endpoint,
  type Family,
  type Fault,
  FRONTEND_NAMES,
  type Frontend,
  familyOf,
  formatCidr,
  formatSocketAddress,
  type Handling,
  type Host,
  type HostPlan,
  type IpAddress,
  type NodeSettings,
  type PodAddress,
  type Problem,
  problemSentence,
  type Service,
  type ServicePort,
  servesNodePortsOnLocalhost,
  type Topology,
} from "@svcproxy/topology";
import type { CheckProblems } from "./check-problems.ts";

/** What `svcproxy check` prints, as data. */
export interface CheckReport {
  readonly source: Topology["source"];
  readonly hosts: readonly HostReport[];
  readonly pods: readonly PodReport[];
  readonly services: readonly ServiceReport[];
  readonly node: NodeReport;
  /** What the host that `--host` names does with every frontend. */
  readonly plan?: PlanReport;
  /** What a data path cannot carry out, in sentences; `problems` has the same. */
  readonly limits: readonly string[];
  readonly warnings: readonly Fault[];
  /** The warnings, what is not as it should be in the plan, and what a data path cannot carry out. */
  readonly problems: readonly Problem[];
}

interface HostReport {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly podCIDRs: readonly string[];
  readonly zone?: string;
  readonly pods: number;
}

interface PodReport {
  readonly name: string;
  readonly host: string;
  readonly addresses: readonly string[];
  readonly state: EndpointState;
}

interface ServiceReport {
  readonly namespace: string;
  readonly name: string;
  readonly id?: string;
  /** In words: affinity, policies, source ranges; empty where all is as usual. */
  readonly policies: readonly string[];
  readonly ports: readonly PortReport[];
}

export interface PortReport {
  readonly name: string;
  readonly protocol: ServicePort["protocol"];
  readonly port: number;
  readonly nodePort?: number;
  /** `ClusterIP 10.100.100.1:7070`, `NodePort *:34211`, … */
  readonly frontends: readonly string[];
  /** How many endpoints stand behind each of `frontends`, in its order: those of its family; a NodePort has both. */
  readonly readiness: readonly (readonly Readiness[])[];
  readonly endpoints: readonly EndpointReport[];
}

interface Readiness {
  readonly family: Family;
  readonly ready: number;
  readonly endpoints: number;
}

interface EndpointReport {
  readonly address: string;
  readonly pod?: string;
  readonly host?: string;
  readonly state: EndpointState;
  readonly zones?: readonly string[];
  readonly nodes?: readonly string[];
}

type EndpointState = "ready" | "not ready" | "terminating" | "serving while terminating";

interface NodeReport extends Omit<NodeSettings, "clusterCIDRs" | "nodePortAddresses" | "serviceCIDRs"> {
  readonly clusterCIDRs: readonly string[];
  readonly nodePortAddresses: readonly string[];
  readonly serviceCIDRs: readonly string[];
  /** Whether they are served: `nodePortAddresses` may leave loopback out. */
  readonly localhostNodePorts: boolean;
}

interface PlanReport {
  readonly host: string;
  readonly frontends: readonly ServedFrontend[];
  readonly healthChecks: readonly {
    readonly service: string;
    readonly port: number;
    readonly localReadyEndpoints: number;
  }[];
}

interface ServedFrontend {
  readonly service: string;
  readonly family: Family;
  readonly frontend: string;
  readonly protocol: ServicePort["protocol"];
  readonly sourceRanges: readonly string[];
  readonly pod: string;
  readonly host: string;
  readonly outside: string;
}

/** Puts what was understood of a topology, and what the plan's host does with it, into words and plain data. */
export function checkReport(
  topology: Topology,
  {
    warnings,
    plan,
    problems: { ofInput, ofPlan, ofDataPaths },
  }: {
    readonly warnings: readonly Fault[];
    readonly plan: HostPlan | undefined;
    readonly problems: CheckProblems;
  },
): CheckReport {
  return {
    source: topology.source,
    hosts: topology.hosts.map(reportHost),
    pods: topology.hosts.flatMap(reportPods),
    services: topology.services.map(reportService),
    node: {
      ...topology.node,
      clusterCIDRs: topology.node.clusterCIDRs.map(formatCidr),
      nodePortAddresses: topology.node.nodePortAddresses.map(formatCidr),
      serviceCIDRs: topology.node.serviceCIDRs.map(formatCidr),
      localhostNodePorts: servesNodePortsOnLocalhost(topology.node),
    },
    ...(plan === undefined ? {} : { plan: reportPlan(plan) }),
    limits: limitSentences(ofDataPaths),
    warnings,
    problems: [...ofInput, ...ofPlan, ...ofDataPaths],
  };
}

/** What data paths have in common is said once, with the names of them all. */
function limitSentences(problems: readonly Problem[]): readonly string[] {
  const together = Map.groupBy(problems, problemSentence);
  return [...together].map(([sentence, alike]) => `${alike.map(({ subject }) => subject).join(", ")}: ${sentence}`);
}

function reportHost({ name, addresses, podCIDRs, zone, pods }: Host): HostReport {
  return {
    name,
    addresses,
    podCIDRs: podCIDRs.map(formatCidr),
    ...(zone === undefined ? {} : { zone }),
    pods: pods.length,
  };
}

function reportPods(host: Host): readonly PodReport[] {
  return host.pods.map((pod) => ({
    name: pod.name,
    host: host.name,
    addresses: pod.addresses.map(formatPodAddress),
    state: stateOf(pod),
  }));
}

function formatPodAddress({ address, port }: PodAddress): string {
  return port === undefined ? address : formatSocketAddress({ address, port });
}

function stateOf({ ready, serving, terminating }: Pick<Endpoint, "ready" | "serving" | "terminating">): EndpointState {
  if (ready) return "ready";
  if (!terminating) return "not ready";
  return serving ? "serving while terminating" : "terminating";
}

function reportService(service: Service): ServiceReport {
  return {
    namespace: service.namespace,
    name: service.name,
    ...(service.id === undefined ? {} : { id: service.id }),
    policies: policiesOf(service),
    ports: service.ports.map((port) => reportPort(service, port)),
  };
}

function reportPort(service: Service, port: ServicePort): PortReport {
  const frontends = frontendsOf(service, port);
  const readiness = new Map(([4, 6] as const).map((family) => [family, readinessOf(port, family)]));
  return {
    name: port.name,
    protocol: port.protocol,
    port: port.port,
    ...(port.nodePort === undefined ? {} : { nodePort: port.nodePort }),
    frontends: frontends.map(({ name }) => name),
    readiness: frontends.map(({ families }) => families.flatMap((family) => readiness.get(family) ?? [])),
    endpoints: port.endpoints.map(reportEndpoint),
  };
}

function readinessOf({ endpoints }: ServicePort, family: Family): Readiness {
  const those = endpoints.filter(({ address }) => familyOf(address) === family);
  return { family, ready: those.filter(({ ready }) => ready).length, endpoints: those.length };
}

interface NamedFrontend {
  readonly name: string;
  readonly families: readonly Family[];
}

function frontendsOf(service: Service, { port, nodePort, takenAt = [] }: ServicePort): readonly NamedFrontend[] {
  const { clusterIPs, externalIPs, loadBalancerIPs } = service;
  if (clusterIPs.length === 0) return [];
  const at = (addresses: readonly IpAddress[], kind: keyof typeof FRONTEND_NAMES) =>
    addresses.map((address) => ({
      name: `${FRONTEND_NAMES[kind]} ${formatSocketAddress({ address, port })}`,
      families: [familyOf(address)],
    }));
  const isFree = (address: IpAddress) => !takenAt.includes(address);
  const onNodes = { name: `NodePort *:${nodePort}`, families: clusterIPs.map(familyOf) };
  return [
    ...at(clusterIPs, "clusterIP"),
    ...at(externalIPs.filter(isFree), "externalIP"),
    ...at(loadBalancerIPs.filter(isFree), "loadBalancerIP"),
    ...(nodePort === undefined ? [] : [onNodes]),
  ];
}

function policiesOf(service: Service): readonly string[] {
  const policies: string[] = [];
  if (service.clusterIPs.length === 0) policies.push("no ClusterIP (headless or ExternalName): nothing to do");
  if (service.internalTrafficPolicy === "Local") policies.push("internal traffic: local endpoints only");
  if (service.externalTrafficPolicy === "Local") policies.push("external traffic: local endpoints only");
  if (service.sessionAffinity !== undefined) {
    policies.push(`affinity by client address, ${service.sessionAffinity.timeoutSeconds} s`);
  }
  if (service.loadBalancerSourceRanges.length > 0) {
    policies.push(`load-balancer IPs only from ${service.loadBalancerSourceRanges.map(formatCidr).join(", ")}`);
  }
  if (service.healthCheckNodePort !== undefined) policies.push(`health check on port ${service.healthCheckNodePort}`);
  if (service.proxyProtocol !== undefined) policies.push(`PROXY protocol ${service.proxyProtocol}`);
  return policies;
}

function reportEndpoint(endpoint: Endpoint): EndpointReport {
  const { pod, host, hints } = endpoint;
  return {
    address: formatSocketAddress(endpoint),
    ...(pod === undefined ? {} : { pod }),
    ...(host === undefined ? {} : { host }),
    state: stateOf(endpoint),
    ...(hints.zones.length === 0 ? {} : { zones: hints.zones }),
    ...(hints.nodes.length === 0 ? {} : { nodes: hints.nodes }),
  };
}

function reportPlan(plan: HostPlan): PlanReport {
  return {
    host: plan.host.name,
    frontends: plan.ports.flatMap(({ service, port, family, frontends }) =>
      frontends.flatMap((frontend) =>
        addressesOf(frontend).map((address) => ({
          service: `${service.namespace}/${service.name}`,
          family,
          frontend: `${FRONTEND_NAMES[frontend.kind]} ${address}`,
          protocol: port.protocol,
          sourceRanges: frontend.sourceRanges.map(formatCidr),
          pod: describeHandling(frontend.clients.pod),
          host: describeHandling(frontend.clients.host),
          outside: describeHandling(frontend.clients.outside),
        })),
      ),
    ),
    healthChecks: plan.healthChecks.map(({ service, port, localReadyEndpoints }) => ({
      service: `${service.namespace}/${service.name}`,
      port,
      localReadyEndpoints,
    })),
  };
}

function addressesOf({ addresses, everyHostAddress, port }: Frontend): readonly string[] {
  if (everyHostAddress) return [`*:${port}`];
  return addresses.map((address) => formatSocketAddress({ address, port }));
}

function describeHandling(handling: Handling): string {
  if (handling.kind !== "forward") return handling.kind;
  const count = handling.endpoints.length;
  const endpoints = `${count} ${count === 1 ? "endpoint" : "endpoints"}`;
  return handling.masquerade === "hairpin" ? endpoints : `${endpoints}, masqueraded`;
}
