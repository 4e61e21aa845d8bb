import { type Family, familyOf, type IpAddress, type Port, type Protocol } from "../address.ts";
import { NO_HINTS } from "../file/build-hosts.ts";
import type { EndpointConditions, EndpointHints } from "../model.ts";
import { specialAddress } from "../special-address.ts";
import { quote } from "../visible.ts";
import type { Field } from "./field.ts";
import type { KubernetesObject } from "./kubernetes-objects.ts";

/** Who serves one named port of a service, as one EndpointSlice, Endpoints subset or pod says. */
export interface PortEndpoints {
  readonly portName: string;
  readonly protocol: Protocol;
  readonly port: Port;
  readonly endpoints: readonly EndpointAddress[];
  /** The port of the slice or subset; absent where a selector found them. */
  readonly field?: Field;
}

export interface EndpointAddress extends EndpointConditions {
  readonly address: IpAddress;
  /** `namespace/name` of the pod behind it. */
  readonly pod?: string;
  /** Name of the Node that runs it. */
  readonly node?: string;
  readonly hints: EndpointHints;
}

/** `namespace/name`. */
export type ServiceKey = string;

const PROTOCOLS: Readonly<Record<"TCP" | "UDP" | "SCTP", Protocol>> = { TCP: "tcp", UDP: "udp", SCTP: "sctp" };

/** `protocol` of a port, TCP where there is none. */
export function readProtocol(field: Field): Protocol {
  return PROTOCOLS[field.word(["TCP", "UDP", "SCTP"], "UNKNOWN_PROTOCOL") ?? "TCP"];
}

/** A slice with it belongs to a Service without a ClusterIP: proxies do not ask for those. */
export const HEADLESS = "service.kubernetes.io/headless";

/**
 * The endpoints of every service. A service's EndpointSlices win over its Endpoints, which older clusters keep for the same pods.
 *
 * @param options.dialled Services with a ClusterIP: a slice of theirs that is labelled as a headless one's does not count, and is named
 */
export function readEndpoints({
  endpointSlices,
  endpoints,
  dialled,
}: {
  readonly endpointSlices: readonly KubernetesObject[];
  readonly endpoints: readonly KubernetesObject[];
  readonly dialled: ReadonlySet<ServiceKey>;
}): ReadonlyMap<ServiceKey, readonly PortEndpoints[]> {
  const services = new Map<ServiceKey, PortEndpoints[]>();
  for (const slice of endpointSlices) {
    const owner = ownerOf(slice);
    if (owner === undefined) continue;
    const key = `${slice.namespace}/${owner}`;
    const label = slice.field.at("metadata", "labels", HEADLESS);
    const isPassedOver = label.isSet && dialled.has(key);
    if (isPassedOver) {
      const reason = `kube-proxy passes over slices with this label, and Service ${quote(key)} is not headless`;
      label.warning("JOINS_NOTHING", reason, "Take the label away, or the slice: its controller makes another");
    }
    services.set(key, [...(services.get(key) ?? []), ...(isPassedOver ? [] : readSlice(slice))]);
  }
  const fromSlices = new Set(services.keys());
  for (const object of endpoints) {
    const key = `${object.namespace}/${object.name}`;
    if (!fromSlices.has(key))
      services.set(
        key,
        object.field
          .get("subsets")
          .items()
          .flatMap((subset) => readSubset(subset, object)),
      );
  }
  return services;
}

/** Name of the Service that a slice belongs to. */
export function ownerOf({ field }: KubernetesObject): string | undefined {
  return field.at("metadata", "labels", "kubernetes.io/service-name").text() || undefined;
}

/** The endpoints of one EndpointSlice. */
export function readSlice({ field, namespace }: KubernetesObject): readonly PortEndpoints[] {
  const addressType = field.get("addressType").word(["IPv4", "IPv6", "FQDN"]);
  if (addressType === undefined) {
    if (!field.get("addressType").isSet) field.error("MISSING_KEY", "addressType: it must be IPv4 or IPv6");
    return [];
  }
  if (addressType === "FQDN") {
    field.get("addressType").warning("NO_EFFECT", "addresses that are names are not served");
    return [];
  }
  const family: Family = addressType === "IPv4" ? 4 : 6;
  const endpoints = field
    .get("endpoints")
    .items()
    .flatMap((endpoint) => readSliceEndpoint(endpoint, { family, namespace }) ?? []);
  return readPorts(field.get("ports"), endpoints);
}

/** A port without a number means all ports, which no service can be sent to. */
function readPorts(ports: Field, endpoints: readonly EndpointAddress[]): readonly PortEndpoints[] {
  return ports.items().flatMap((field) => {
    const port = field.get("port").port();
    if (port === undefined) return [];
    return [
      {
        portName: field.get("name").text() ?? "",
        protocol: readProtocol(field.get("protocol")),
        port,
        endpoints,
        field,
      },
    ];
  });
}

/** Only the first address counts: the API leaves open what more of them mean, and kube-proxy looks at none. */
function readSliceEndpoint(
  field: Field,
  { family, namespace }: { family: Family; namespace: string },
): EndpointAddress | undefined {
  const [first] = field.get("addresses").items();
  if (first === undefined) {
    field.error("MISSING_KEY", "it has no address");
    return undefined;
  }
  const address = readEndpointAddress(first);
  if (address === undefined) return undefined;
  if (familyOf(address) !== family) {
    first.error("MIXED_FAMILIES", `${address} is not IPv${family}, as addressType says`);
    return undefined;
  }
  const conditions = field.get("conditions");
  const hints = field.get("hints");
  const names = (key: string) =>
    hints
      .get(key)
      .items()
      .flatMap((hint) => hint.get("name").text() ?? []);
  // v1beta1 began with a label of the node in place of its name.
  const node = field.get("nodeName").text() ?? field.at("topology", "kubernetes.io/hostname").text();
  const pod = podOf(field.get("targetRef"), namespace);
  return {
    address,
    ready: conditions.get("ready").flag() ?? true,
    serving: conditions.get("serving").flag() ?? true,
    terminating: conditions.get("terminating").flag() ?? false,
    ...(node === undefined ? {} : { node }),
    ...(pod === undefined ? {} : { pod }),
    hints: hintsOf(names("forZones"), names("forNodes")),
  };
}

function hintsOf(zones: readonly string[], nodes: readonly string[]): EndpointHints {
  return zones.length === 0 && nodes.length === 0 ? NO_HINTS : { zones, nodes };
}

/** One subset of an Endpoints object: what is not ready there is not serving either. */
function readSubset(subset: Field, { namespace }: KubernetesObject): readonly PortEndpoints[] {
  const read = (key: string, ready: boolean) =>
    subset
      .get(key)
      .items()
      .flatMap((field): readonly EndpointAddress[] => {
        const address = readEndpointAddress(field.get("ip"));
        if (address === undefined) return [];
        const node = field.get("nodeName").text();
        const pod = podOf(field.get("targetRef"), namespace);
        return [
          {
            address,
            ready,
            serving: ready,
            terminating: false,
            ...(node === undefined ? {} : { node }),
            ...(pod === undefined ? {} : { pod }),
            hints: NO_HINTS,
          },
        ];
      });
  return readPorts(subset.get("ports"), [...read("addresses", true), ...read("notReadyAddresses", false)]);
}

/** As the API server has it since CVE-2021-25737: an endpoint that is the node's loopback or a link-local address would open the node itself. */
function readEndpointAddress(field: Field): IpAddress | undefined {
  const address = field.address();
  if (address === undefined) return undefined;
  const special = specialAddress(address);
  if (special?.isRefusedByApiServer === true) {
    field.error("BAD_ADDRESS", `${address} is ${special.what}, which no endpoint may be`);
    return undefined;
  }
  field.judge(address, "endpoint");
  return address;
}

function podOf(reference: Field, namespace: string): string | undefined {
  if (reference.get("kind").text() !== "Pod") return undefined;
  const name = reference.get("name").text();
  return name === undefined ? undefined : `${reference.get("namespace").text() ?? namespace}/${name}`;
}
