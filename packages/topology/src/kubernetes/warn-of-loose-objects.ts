import { familyOf } from "../address.ts";
import { nearestWord } from "../nearest-word.ts";
import { quote } from "../visible.ts";
import type { Field } from "./field.ts";
import type { KubernetesObject, KubernetesObjects } from "./kubernetes-objects.ts";
import { ownerOf, type PortEndpoints, type ServiceKey } from "./read-endpoints.ts";
import type { KubernetesNode } from "./read-nodes.ts";
import type { KubernetesService, KubernetesServicePort } from "./read-services.ts";

interface Joined {
  readonly objects: KubernetesObjects;
  readonly nodes: readonly KubernetesNode[];
  /** Those that are served here. */
  readonly services: readonly KubernetesService[];
  /** What slices and Endpoints say. */
  readonly listed: ReadonlyMap<ServiceKey, readonly PortEndpoints[]>;
  /** What each service got, from wherever. */
  readonly endpointsOf: ReadonlyMap<KubernetesService, readonly PortEndpoints[]>;
}

/**
 * Names each object that joins to nothing, and why: kube-proxy passes over it in silence, and so does the API server.
 */
export function warnOfLooseObjects(joined: Joined): void {
  const services = new Map(joined.services.map((service) => [keyOf(service.object), service]));
  const others = new Set(joined.objects.services.map(keyOf));
  for (const slice of joined.objects.endpointSlices) {
    const owner = ownerOf(slice);
    const label = slice.field.at("metadata", "labels", "kubernetes.io/service-name");
    if (owner === undefined) {
      const reason = "it belongs to no Service, because it has no label kubernetes.io/service-name";
      slice.field.at("metadata", "labels").warning("JOINS_NOTHING", reason, "Give it the name of its Service");
    } else warnOfOwner(label, { key: `${slice.namespace}/${owner}`, services, others });
  }
  for (const object of joined.objects.endpoints) {
    // Leaders are elected by Endpoints objects that have none.
    const key = keyOf(object);
    if (object.field.get("subsets").items().length > 0) warnOfOwner(object.field, { key, services, others });
  }
  for (const [key, groups] of joined.listed) {
    const service = services.get(key);
    if (service !== undefined && service.ports.length > 0) for (const group of groups) warnOfGroup(group, service);
  }
  warnOfNodes(joined);
  warnOfServices(joined);
}

function keyOf({ namespace, name }: KubernetesObject): ServiceKey {
  return `${namespace}/${name}`;
}

function warnOfOwner(
  field: Field,
  {
    key,
    services,
    others,
  }: {
    readonly key: ServiceKey;
    readonly services: ReadonlyMap<ServiceKey, KubernetesService>;
    readonly others: ReadonlySet<ServiceKey>;
  },
): void {
  if (others.has(key)) return;
  const [namespace = "", name = ""] = key.split("/");
  const ofSpace = [...services.keys()].filter((other) => other.startsWith(`${namespace}/`));
  const near =
    [...services.keys()].find((other) => other.endsWith(`/${name}`)) ??
    (ofSpace.length > MAX_NEAR ? undefined : nearestWord(key, ofSpace));
  const hint = near === undefined ? undefined : `Is Service ${quote(near)} meant?`;
  field.warning("JOINS_NOTHING", `it belongs to Service ${quote(key)}, which is not among the objects`, hint);
}

/** Of so many Services of a namespace the nearest name is looked for: a large input may have as many such faults. */
const MAX_NEAR = 1000;

/** Endpoints whose port or family no port of the Service has. */
function warnOfGroup({ field, portName, protocol, endpoints }: PortEndpoints, service: KubernetesService): void {
  const [first] = endpoints;
  if (field === undefined || first === undefined) return;
  const owner = `Service ${keyOf(service.object)}`;
  const families = new Set(
    service.vips.filter(({ kind }) => kind === "clusterIP").map(({ address }) => familyOf(address)),
  );
  if (families.size === 0) return;
  if (!endpoints.some(({ address }) => families.has(familyOf(address)))) {
    field.warning(
      "JOINS_NOTHING",
      `${owner} has no IPv${familyOf(first.address)} ClusterIP, so these endpoints are not used`,
    );
    return;
  }
  const { ports } = service;
  if (ports.some((port) => port.name === portName && port.protocol === protocol)) return;
  const [sameName] = ports.filter((port) => port.name === portName);
  const reason =
    sameName === undefined
      ? `no port of ${owner} is named ${quote(portName)}`
      : `port ${quote(portName)} of ${owner} is ${sameName.protocol}, not ${protocol}`;
  const there = ports.map((port) => `${quote(port.name)} (${port.protocol})`).join(", ");
  field.warning("JOINS_NOTHING", `${reason}, so these endpoints are not used`, `It has: ${there}`);
}

/** Each name once. An input without Nodes says nothing about them. */
function warnOfNodes({ nodes, objects, listed }: Joined): void {
  if (objects.nodes.length === 0) return;
  const known = new Set(nodes.map(({ host }) => host.name));
  for (const { field, endpoints } of [...listed.values()].flat()) {
    for (const { node } of endpoints) {
      if (node === undefined || known.has(node)) continue;
      known.add(node);
      field?.warning(
        "JOINS_NOTHING",
        `node ${quote(node)}, which runs an endpoint, is not among the Nodes that have an address`,
      );
    }
  }
}

/** Services without an endpoint, where the input has any for others. */
function warnOfServices({ objects, services, listed, endpointsOf }: Joined): void {
  const served = services.filter(
    ({ vips, ports }) => ports.length > 0 && vips.some(({ kind }) => kind === "clusterIP"),
  );
  const hasEndpoints = (service: KubernetesService) =>
    endpointsOf.get(service)?.some(({ endpoints }) => endpoints.length > 0) === true;
  const given = objects.endpointSlices.length + objects.endpoints.length + objects.pods.length;
  const [first] = served;
  if (given === 0) {
    first?.object.field.warning(
      "NO_ENDPOINTS_GIVEN",
      `0 of ${served.length} Services have an endpoint, and nothing in the input names any: was \`endpointslices\` left out?`,
      "kubectl get services,endpointslices,nodes -A -o yaml gives all that is needed",
    );
    return;
  }
  for (const service of served) {
    // What a slice says, be it of nobody, has been joined.
    if (hasEndpoints(service) || listed.has(keyOf(service.object))) continue;
    const selector = service.object.field.at("spec", "selector");
    const isEmpty = selector.texts().size === 0;
    const reason = isEmpty
      ? "it has no selector, and no EndpointSlice or Endpoints object belongs to it"
      : `no EndpointSlice belongs to it${objects.pods.length > 0 ? reasonOfPods(service.ports) : ""}`;
    (isEmpty ? service.object.field : selector).warning("JOINS_NOTHING", reason);
  }
}

function reasonOfPods(ports: readonly KubernetesServicePort[]): string {
  const named = ports
    .flatMap(({ field }) => field.get("targetPort").value ?? [])
    .filter((target) => typeof target === "string");
  const names =
    named.length === 0 ? "" : `, or none of those that it selects has a port named ${named.map(quote).join(" or ")}`;
  return `, and it selects no Pod${names}`;
}
