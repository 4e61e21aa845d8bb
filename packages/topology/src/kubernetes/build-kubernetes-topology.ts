import { type Cidr, formatSocketAddress, type IpAddress } from "../address.ts";
import { NO_HINTS } from "../file/build-hosts.ts";
import { keptList } from "../kept-list.ts";
import type { Endpoint, Host, NodeSettings, Pod, Service, Topology } from "../model.ts";
import type { FaultReport } from "../text/fault-report.ts";
import type { SourceDocument } from "../text/source-document.ts";
import { quote } from "../visible.ts";
import { checkFrontends } from "./check-frontends.ts";
import { collectObjects, type KubernetesObject } from "./kubernetes-objects.ts";
import { type PortEndpoints, readEndpoints, type ServiceKey } from "./read-endpoints.ts";
import { readNodes } from "./read-nodes.ts";
import { endpointsOfSelector, type KubernetesPod, PodsByLabel, readPods } from "./read-pods.ts";
import { readServiceCIDRs } from "./read-service-cidrs.ts";
import { type KubernetesService, type KubernetesServicePort, readService, warnOfRefusedIPs } from "./read-services.ts";
import { warnOfLooseObjects } from "./warn-of-loose-objects.ts";

export interface KubernetesTopology extends Pick<Topology, "hosts" | "services"> {
  /** What objects say of the data path. */
  readonly settings: Partial<NodeSettings>;
  /** How many objects there were of each kind that says nothing about services. */
  readonly passedOver: ReadonlyMap<string, number>;
}

/**
 * Makes a topology of Kubernetes objects: Nodes are the hosts, Pods (or what EndpointSlices say of them) the pods, Services with
 * their EndpointSlices or Endpoints the services; a Service without either gets its endpoints from the Pods that it selects.
 */
export function buildKubernetesTopology(
  documents: readonly SourceDocument[],
  { report, allowExternalIPs }: { readonly report: FaultReport; readonly allowExternalIPs: readonly Cidr[] },
): KubernetesTopology {
  const objects = collectObjects(documents, report);
  const nodes = readNodes(objects.nodes);
  const pods = readPods(objects.pods);
  const podsByLabel = new PodsByLabel(pods);
  const dialled = new Set(objects.services.filter(isDialled).map(({ namespace, name }) => `${namespace}/${name}`));
  const listed = readEndpoints({ ...objects, dialled });
  const hostNames = new Set(nodes.map(({ host }) => host.name));
  const read = objects.services.filter(isOurs).map((object) => readService(object, { allowExternalIPs }));
  warnOfRefusedIPs(read);
  const checked = checkFrontends(read, { nodes, pods });
  const endpoints = new Map(checked.map((service) => [service, endpointsOf(service, { listed, podsByLabel })]));
  warnOfLooseObjects({ objects, nodes, services: checked, listed, endpointsOf: endpoints });
  const services = checked.map((service) =>
    buildService(service, { endpoints: endpoints.get(service) ?? [], hostNames }),
  );
  return {
    passedOver: objects.passedOver,
    hosts: placePods(
      nodes.map(({ host }) => host),
      { pods, listed },
    ),
    services,
    settings: readServiceCIDRs(objects.serviceCIDRs, { nodes, pods, services: read }),
  };
}

/** Whether kube-proxy would serve it: a Service with this label, whatever its value, is another proxy's. */
function isOurs({ field }: KubernetesObject): boolean {
  const label = field.at("metadata", "labels", "service.kubernetes.io/service-proxy-name");
  if (!label.isSet) return true;
  label.warning("OTHER_PROXY", `it is left to the proxy ${quote(label.text() ?? "")} and not served here`);
  return false;
}

function isDialled({ field }: KubernetesObject): boolean {
  const spec = field.get("spec");
  return spec.get("clusterIP").text() !== "None" && spec.get("type").text() !== "ExternalName";
}

function endpointsOf(
  { object }: KubernetesService,
  { listed, podsByLabel }: { listed: ReadonlyMap<ServiceKey, readonly PortEndpoints[]>; podsByLabel: PodsByLabel },
): readonly PortEndpoints[] {
  return listed.get(`${object.namespace}/${object.name}`) ?? endpointsOfSelector(object, podsByLabel);
}

/** @param options.hostNames hosts of the topology: an endpoint elsewhere has none */
export function buildService(
  { settings, vips, ports }: KubernetesService,
  { endpoints, hostNames }: { endpoints: readonly PortEndpoints[]; hostNames: ReadonlySet<string> },
): Service {
  const ofKind = (kind: (typeof vips)[number]["kind"]) =>
    keptList([...new Set(vips.filter((vip) => vip.kind === kind).map(({ address }) => address))]);
  return {
    ...settings,
    clusterIPs: ofKind("clusterIP"),
    externalIPs: ofKind("externalIP"),
    loadBalancerIPs: ofKind("loadBalancerIP"),
    ports: ports.map(({ field: _field, ...port }) => ({
      ...port,
      endpoints: endpointsOfPort(port, { endpoints, hostNames }),
    })),
  };
}

/**
 * Endpoints go to a service's port by the port's name and protocol; its `targetPort` has no say. Each `ip:port` once, in the order of
 * their texts: the one that is of more use wins, because a pod that has ended leaves its address to the next, then one that a node runs.
 *
 * @see kubernetes pkg/proxy/endpointslicecache.go, endpointInfoByServicePort
 */
export function endpointsOfPort(
  { name, protocol }: Pick<KubernetesServicePort, "name" | "protocol">,
  { endpoints, hostNames }: { endpoints: readonly PortEndpoints[]; hostNames: ReadonlySet<string> },
): readonly Endpoint[] {
  const byText = new Map<string, Endpoint>();
  for (const group of endpoints) {
    if (group.portName !== name || group.protocol !== protocol) continue;
    for (const { node, ...rest } of group.endpoints) {
      const isPlaced = node !== undefined && hostNames.has(node);
      const endpoint: Endpoint = { ...rest, port: group.port, ...(isPlaced ? { host: node } : {}) };
      const text = formatSocketAddress(endpoint);
      const before = byText.get(text);
      if (before === undefined || isBetter(endpoint, before)) byText.set(text, endpoint);
    }
  }
  return [...byText].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, endpoint]) => endpoint);
}

function isBetter(endpoint: Endpoint, before: Endpoint): boolean {
  const difference = useOf(endpoint) - useOf(before);
  return difference === 0 ? before.host === undefined && endpoint.host !== undefined : difference > 0;
}

/** 2: takes connections; 1: only where nobody else does; 0: none. */
function useOf({ ready, serving, terminating }: Endpoint): number {
  return ready ? 2 : serving && terminating ? 1 : 0;
}

/** Each pod on its node; where the input has no Pods, the endpoints that name a node stand for them. */
function placePods(
  hosts: readonly Omit<Host, "pods">[],
  { pods, listed }: { pods: readonly KubernetesPod[]; listed: ReadonlyMap<ServiceKey, readonly PortEndpoints[]> },
): readonly Host[] {
  const podsByHost = new Map<string, Map<string, Pod>>(hosts.map(({ name }) => [name, new Map()]));
  const known = new Set<IpAddress>();
  for (const { key, node, addresses, ready, serving, terminating } of pods) {
    for (const address of addresses) known.add(address);
    const pod = {
      name: key,
      addresses: addresses.map((address) => ({ address })),
      ready,
      serving,
      terminating,
      hints: NO_HINTS,
    };
    if (node !== undefined) podsByHost.get(node)?.set(key, pod);
  }
  for (const { endpoints } of [...listed.values()].flat()) {
    for (const { address, node, pod: key = address, ready, serving, terminating, hints } of endpoints) {
      const onHost = node === undefined ? undefined : podsByHost.get(node);
      if (onHost === undefined || known.has(address)) continue;
      const before = onHost.get(key)?.addresses ?? [];
      if (before.some((other) => other.address === address)) continue;
      onHost.set(key, { name: key, addresses: [...before, { address }], ready, serving, terminating, hints });
    }
  }
  return hosts.map((host) => ({ ...host, pods: [...(podsByHost.get(host.name)?.values() ?? [])] }));
}
