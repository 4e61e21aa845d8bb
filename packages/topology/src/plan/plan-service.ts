import { type Family, familyOf, type IpAddress, type Port } from "../address.ts";
import { keptList } from "../kept-list.ts";
import type { Endpoint, Service, ServicePort } from "../model.ts";
import { chooseEndpoints, type EndpointChoice, isExternallyReachable } from "./choose-endpoints.ts";
import { detectsPods } from "./detect-pods.ts";
import type {
  Frontend,
  FrontendKind,
  Handling,
  HealthCheck,
  HostPlan,
  MasqueradeReason,
  OnwardEndpoint,
  ServicePortPlan,
} from "./host-plan.ts";

/** What the plan of each service of one host hangs on besides the service. */
export type PlanContext = Pick<HostPlan, "host" | "node" | "podDetector" | "nodePortAddresses">;

/** One service's part of a HostPlan. */
export interface ServicePlan {
  readonly ports: readonly ServicePortPlan[];
  readonly healthChecks: readonly HealthCheck[];
}

/**
 * Decides what a host promises for one service.
 *
 * @param onward those of its endpoints that are frontends themselves, by the port that has them
 */
export function planService(
  service: Service,
  { onward, ...context }: PlanContext & { readonly onward: ReadonlyMap<ServicePort, readonly OnwardEndpoint[]> },
): ServicePlan {
  const families = servedFamilies(service);
  return {
    ports: keptList(
      service.ports.flatMap((port, portIndex) =>
        families.map((family) =>
          planPort(context, {
            ...{ service, port, portIndex, family },
            onward: onward.get(port)?.filter(({ endpoint }) => familyOf(endpoint.address) === family) ?? NONE,
          }),
        ),
      ),
    ),
    healthChecks: planHealthCheck(context, service),
  };
}

const NONE: readonly never[] = [];

/** A service without a ClusterIP is headless: nothing to do, as in Kubernetes. */
export function servedFamilies(service: Service): readonly Family[] {
  return [...new Set(service.clusterIPs.map(familyOf))];
}

type PlannedPort = Pick<ServicePortPlan, "service" | "port" | "portIndex" | "family" | "onward">;

function planPort(context: PlanContext, planned: PlannedPort): ServicePortPlan {
  const { service, port, family, onward } = planned;
  const choice = chooseEndpoints(withoutLoops(port, onward), { family, host: context.host });
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

function withoutLoops(port: ServicePort, onward: readonly OnwardEndpoint[]): readonly Endpoint[] {
  const cut = new Set(onward.filter(({ isLoop }) => isLoop).map(({ endpoint }) => endpoint));
  return cut.size === 0 ? port.endpoints : port.endpoints.filter((endpoint) => !cut.has(endpoint));
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
  let external: Frontend["clients"] | undefined;
  const ofExternal = () => (external ??= externalHandling(context, { service, family, ...choice }));
  const sourceRanges = keptList(service.loadBalancerSourceRanges.filter((range) => familyOf(range.address) === family));
  const atAddresses = (kind: Exclude<FrontendKind, "nodePort">, addresses: readonly IpAddress[]): readonly Frontend[] =>
    addresses
      .filter((address) => familyOf(address) === family)
      .filter((address) => kind === "clusterIP" || port.takenAt?.includes(address) !== true)
      .map((address) => ({
        kind,
        addresses: [address],
        everyHostAddress: false,
        port: port.port,
        sourceRanges: kind === "loadBalancerIP" ? sourceRanges : NONE,
        clients: kind === "clusterIP" ? internal : ofExternal(),
      }));
  const nodePort = (number: Port): Frontend => ({
    kind: "nodePort",
    ...context.nodePortAddresses[family],
    port: number,
    sourceRanges: NONE,
    clients: ofExternal(),
  });
  return keptList([
    ...atAddresses("clusterIP", service.clusterIPs),
    ...atAddresses("externalIP", service.externalIPs),
    ...atAddresses("loadBalancerIP", service.loadBalancerIPs),
    ...(port.nodePort === undefined ? [] : [nodePort(port.nodePort)]),
  ]);
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

/**
 * kube-proxy has a proxier for each family, and each counts its own endpoints, an address once; both open the port, and the first,
 * that of IPv4, has it.
 * @see kubernetes pkg/proxy/endpointslicecache.go, LocalReadyEndpoints; pkg/proxy/healthcheck/service_health.go
 */
function planHealthCheck({ host, nodePortAddresses }: PlanContext, service: Service): readonly HealthCheck[] {
  if (service.healthCheckNodePort === undefined) return NONE;
  const families = servedFamilies(service);
  const counted = families.includes(4) ? 4 : 6;
  const ready = new Set<IpAddress>();
  for (const port of service.ports) {
    for (const endpoint of port.endpoints) {
      const isCounted = endpoint.host === host.name && endpoint.ready && familyOf(endpoint.address) === counted;
      if (isCounted) ready.add(endpoint.address);
    }
  }
  const isEverywhere = families.every((family) => nodePortAddresses[family].everyHostAddress);
  const addresses = families.flatMap((family) => nodePortAddresses[family].addresses);
  return [
    {
      service,
      port: service.healthCheckNodePort,
      localReadyEndpoints: ready.size,
      ...(isEverywhere ? {} : { addresses }),
    },
  ];
}
