import { type Cidr, cidrContains, familyOf, type IpAddress, parsePort } from "../address.ts";
import { DEFAULT_AFFINITY_SECONDS } from "../file/build-services.ts";
import type { Service, ServicePort } from "../model.ts";
import { listNames } from "../problem.ts";
import { specialAddress } from "../special-address.ts";
import { quote } from "../visible.ts";
import { type Field, parseSloppyAddress } from "./field.ts";
import type { KubernetesObject } from "./kubernetes-objects.ts";
import { readProtocol } from "./read-endpoints.ts";
import { readCidr } from "./read-nodes.ts";

/** A port whose endpoints are still to be found. */
export interface KubernetesServicePort extends Omit<ServicePort, "endpoints"> {
  readonly field: Field;
}

/** An address that clients dial, with the field it was read from. */
export interface KubernetesVip {
  readonly kind: "clusterIP" | "externalIP" | "loadBalancerIP";
  readonly address: IpAddress;
  readonly field: Field;
}

/** A Service before it has met its endpoints. */
export interface KubernetesService {
  readonly object: KubernetesObject;
  readonly settings: Omit<Service, "ports" | "clusterIPs" | "externalIPs" | "loadBalancerIPs">;
  readonly vips: readonly KubernetesVip[];
  readonly ports: readonly KubernetesServicePort[];
  /** External IPs that nobody allowed. */
  readonly refusedIPs: readonly KubernetesVip[];
}

const SERVICE_TYPES = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] as const;
type ServiceType = (typeof SERVICE_TYPES)[number];

/**
 * Reads a Service as strictly as the API server checks it where it matters, and as kube-proxy understands it.
 *
 * @param allowExternalIPs the blocks whose addresses a Service may claim as externalIPs; others are named and not served
 */
export function readService(
  object: KubernetesObject,
  { allowExternalIPs }: { readonly allowExternalIPs: readonly Cidr[] },
): KubernetesService {
  const spec = object.field.get("spec");
  const type = spec.get("type").word(SERVICE_TYPES) ?? "ClusterIP";
  const clusterIPs = readClusterIPs(spec, type);
  const families = new Set(clusterIPs.map(({ address }) => familyOf(address)));
  // The family that a Service has no ClusterIP of is not served, whatever else it lists: kube-proxy passes over it in silence.
  const served = (vips: readonly KubernetesVip[]) => vips.filter(({ address }) => families.has(familyOf(address)));
  const claimed = families.size === 0 ? [] : served(readExternalIPs(spec));
  const isAllowed = ({ address }: KubernetesVip) => allowExternalIPs.some((cidr) => cidrContains(cidr, address));
  const externalIPs = claimed.filter(isAllowed);
  const loadBalancerIPs = type === "LoadBalancer" ? served(readIngress(object.field.get("status"))) : [];
  const sourceRanges = readSourceRanges(spec, { type, loadBalancerIPs });
  const ports = readPorts(spec, type);
  const isExternal = type === "NodePort" || type === "LoadBalancer" || externalIPs.length > 0;
  const external = spec.get("externalTrafficPolicy").word(["Cluster", "Local"]) ?? "Cluster";
  const isLocal = isExternal && external === "Local";
  const healthCheck = type === "LoadBalancer" && isLocal ? spec.get("healthCheckNodePort").port() : undefined;
  const affinity = readAffinity(spec);
  return {
    object,
    vips: [...clusterIPs, ...externalIPs, ...loadBalancerIPs],
    refusedIPs: claimed.filter((vip) => !isAllowed(vip)),
    ports,
    settings: {
      namespace: object.namespace,
      name: object.name,
      loadBalancerSourceRanges: sourceRanges,
      internalTrafficPolicy: spec.get("internalTrafficPolicy").word(["Cluster", "Local"]) ?? "Cluster",
      externalTrafficPolicy: isLocal ? "Local" : "Cluster",
      ...(affinity === undefined ? {} : { sessionAffinity: affinity }),
      ...(healthCheck === undefined ? {} : { healthCheckNodePort: healthCheck }),
    },
  };
}

/** None for a headless Service, and for one of type ExternalName whatever it says. */
function readClusterIPs(spec: Field, type: ServiceType): readonly KubernetesVip[] {
  if (type === "ExternalName") return [];
  const one = spec.get("clusterIP");
  const several = spec.get("clusterIPs").items();
  const fields = several.length > 0 ? several : [one];
  checkFirstClusterIP(one, several[0]);
  if (one.value === "None" || fields[0]?.value === "None") {
    if (type !== "ClusterIP") one.warning("NO_EFFECT", `without a ClusterIP nothing of type ${type} is served`);
    return [];
  }
  const vips = fields.flatMap((field): readonly KubernetesVip[] => {
    const address = field.address();
    if (address !== undefined) field.judge(address, "VIP");
    return address === undefined ? [] : [{ kind: "clusterIP", address, field }];
  });
  if (!fields.some(({ value }) => value !== undefined && value !== "")) {
    spec.warning(
      "NO_CLUSTER_IP",
      "it has no clusterIP yet, so it is not served",
      "Take it from the cluster, or give it a clusterIP",
    );
  }
  const [first, second] = vips;
  if (first !== undefined && second !== undefined && familyOf(first.address) === familyOf(second.address)) {
    second.field.error("FAMILY_TWICE", `a second IPv${familyOf(second.address)} address; there can be one a family`);
    return [first];
  }
  if (vips.length > 2) vips[2]?.field.error("FAMILY_TWICE", "there can be one address a family");
  return vips.slice(0, 2);
}

/** The API server holds both fields equal: one that was changed alone would leave the Service at the other's address. */
function checkFirstClusterIP(one: Field, first: Field | undefined): void {
  if (typeof one.value !== "string" || typeof first?.value !== "string" || one.value === "") return;
  const [single, listed] = [one.value, first.value].map((text) => parseSloppyAddress(text)?.address ?? text);
  // A member that is not an address is reported as such.
  if (single === listed || (listed !== "None" && parseSloppyAddress(first.value) === undefined)) return;
  const reason = `${quote(first.value)} is not what clusterIP says, ${quote(one.value)}`;
  first.error("CONFLICTING_KEYS", reason, "Write the same in both");
}

/**
 * Says how many Services go without external IPs: anyone who may write a Service could claim any address with it, so only what is
 * allowed is served.
 * @see CVE-2020-8554
 */
export function warnOfRefusedIPs(services: readonly KubernetesService[]): void {
  const refused = services.filter(({ refusedIPs }) => refusedIPs.length > 0);
  const [first] = refused.flatMap(({ refusedIPs }) => refusedIPs);
  if (first === undefined) return;
  const { reason, hint } = describeRefusedIPs(
    refused.map(({ object, refusedIPs }) => ({
      service: `${object.namespace}/${object.name}`,
      addresses: refusedIPs.map(({ address }) => address),
    })),
    { of: services.length },
  );
  first.field.warning("EXTERNAL_IP_REFUSED", reason, hint);
}

/** How people are told of Services whose external IPs nobody allowed. @param options.of how many Services there are; undefined: it is not said */
export function describeRefusedIPs(
  refused: readonly { readonly service: string; readonly addresses: readonly IpAddress[] }[],
  { of }: { readonly of?: number } = {},
): { readonly reason: string; readonly hint: string } {
  const names = listNames(refused.map(({ service, addresses }) => `${service} (${addresses.join(", ")})`));
  const [first] = refused.flatMap(({ addresses }) => addresses);
  const block = first === undefined ? "192.0.2.0/24" : `${first}/${familyOf(first) === 4 ? 32 : 128}`;
  const count = of === undefined ? `${refused.length}` : `${refused.length} of ${of}`;
  const services = of === undefined && refused.length === 1 ? "Service" : "Services";
  return {
    reason: `external IPs are not served unless they are allowed, which leaves out those of ${count} ${services}: ${names}`,
    hint: `If they are meant to be served, say --allow-external-ips ${block}, or a block`,
  };
}

function readExternalIPs(spec: Field): readonly KubernetesVip[] {
  return spec
    .get("externalIPs")
    .items()
    .flatMap((field): readonly KubernetesVip[] => {
      const address = field.address();
      if (address === undefined) return [];
      const special = specialAddress(address);
      if (special?.isRefusedByApiServer === true) {
        field.error("BAD_ADDRESS", `${address} is ${special.what}`);
        return [];
      }
      field.judge(address, "VIP");
      return [{ kind: "externalIP", address, field }];
    });
}

/** What the load balancer sends on with its own address as destination; with `ipMode: Proxy` it sends to the NodePort instead. */
function readIngress(status: Field): readonly KubernetesVip[] {
  return status
    .at("loadBalancer", "ingress")
    .items()
    .flatMap((item): readonly KubernetesVip[] => {
      const field = item.get("ip");
      const address = field.address();
      const mode = item.get("ipMode").word(["VIP", "Proxy"]) ?? "VIP";
      if (address === undefined || mode === "Proxy") return [];
      field.judge(address, "VIP");
      return [{ kind: "loadBalancerIP", address, field }];
    });
}

function readSourceRanges(
  spec: Field,
  { type, loadBalancerIPs }: { type: ServiceType; loadBalancerIPs: readonly KubernetesVip[] },
): readonly Cidr[] {
  const field = spec.get("loadBalancerSourceRanges");
  // Read for every type: a range that cannot be read must not go unnoticed and leave the service open.
  const ranges = field.items().flatMap((item) => readCidr(item) ?? []);
  if (ranges.length === 0) return ranges;
  if (type !== "LoadBalancer") {
    field.warning("NO_EFFECT", "source ranges count only for type LoadBalancer");
    return [];
  }
  const families = new Set(ranges.map((range) => familyOf(range.address)));
  const open = loadBalancerIPs.find(({ address }) => !families.has(familyOf(address)));
  if (open !== undefined) {
    field.warning("OPEN_FAMILY", `no range is IPv${familyOf(open.address)}, so everyone may use ${open.address}`);
  }
  return ranges;
}

function readAffinity(spec: Field): Service["sessionAffinity"] {
  if (spec.get("sessionAffinity").word(["None", "ClientIP"]) !== "ClientIP") return undefined;
  const field = spec.at("sessionAffinityConfig", "clientIP", "timeoutSeconds");
  const seconds = field.integer() ?? DEFAULT_AFFINITY_SECONDS;
  if (seconds >= 1 && seconds <= 86400) return { timeoutSeconds: seconds };
  field.error("NUMBER_OUT_OF_RANGE", `${seconds} is not in 1–86400`);
  return { timeoutSeconds: DEFAULT_AFFINITY_SECONDS };
}

/** The API server's default --service-node-port-range. */
const USUAL_NODE_PORTS = { from: 30000, to: 32767 };
const PORT_NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

function readPorts(spec: Field, type: ServiceType): readonly KubernetesServicePort[] {
  const list = spec.get("ports");
  const fields = list.items();
  const isHeadless = type === "ExternalName" || spec.get("clusterIP").value === "None";
  if (!isHeadless && (!list.isSet || (Array.isArray(list.value) && fields.length === 0))) {
    list.error("MISSING_KEY", "there must be one at least");
  }
  const seen = new Map<string, Field>();
  return fields.flatMap((field): readonly KubernetesServicePort[] => {
    const name = readPortName(field, { isOptional: fields.length === 1 });
    const protocol = readProtocol(field.get("protocol"));
    const port = field.get("port").port();
    checkTargetPort(field.get("targetPort"));
    const nodePort = readNodePort(field.get("nodePort"), type);
    if (port === undefined) {
      const written = field.get("port");
      if (!written.isSet) field.error("MISSING_KEY", "it has no port");
      else if (written.value === 0) written.error("PORT_OUT_OF_RANGE", "0 is not in 1–65535");
      return [];
    }
    for (const [key, what] of [
      [`name ${name}`, `the name ${quote(name)}`],
      [`port ${port}/${protocol}`, `port ${port}/${protocol}`],
    ] as const) {
      const first = seen.get(key);
      if (first === undefined) seen.set(key, field);
      else if (key !== "name ") field.duplicate("DUPLICATE_NAME", { first, reason: `${what} stands twice` });
    }
    return [{ name, protocol, port, ...(nodePort === undefined ? {} : { nodePort }), field }];
  });
}

/** Endpoints carry their own ports; this one names those of pods that a selector finds. */
function checkTargetPort(field: Field): void {
  if (typeof field.value !== "string") {
    field.port();
    return;
  }
  const { value } = field;
  if (value === "" || (value.length <= 15 && IANA_SERVICE_NAME.test(value) && /[a-z]/.test(value))) return;
  const isNumber = parsePort(Number(value)) !== undefined;
  const hint = isNumber
    ? `Without quotes: ${Number(value)}`
    : "Use up to 15 lower-case letters, digits and -, one a letter";
  field.error("BAD_NAME", `${quote(value)} is not the name of a port`, hint);
}

const IANA_SERVICE_NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/;

function readPortName(field: Field, { isOptional }: { isOptional: boolean }): string {
  const name = field.get("name").text() ?? "";
  if (name === "" && !isOptional) field.error("MISSING_KEY", "ports need names where there are several");
  if (name !== "" && !PORT_NAME.test(name)) {
    field.get("name").error("BAD_NAME", `${quote(name)} is not a DNS label`, "Use lower-case letters, digits and -");
  }
  return name;
}

function readNodePort(field: Field, type: ServiceType): ServicePort["nodePort"] {
  const nodePort = field.port();
  if (nodePort === undefined) return undefined;
  if (type !== "NodePort" && type !== "LoadBalancer") {
    field.warning("NO_EFFECT", `a Service of type ${type} has no NodePort; ${nodePort} is not opened`);
    return undefined;
  }
  if (nodePort < USUAL_NODE_PORTS.from || nodePort > USUAL_NODE_PORTS.to) {
    field.warning(
      "UNUSUAL_NODE_PORT",
      `${nodePort} is outside the usual range ${USUAL_NODE_PORTS.from}–${USUAL_NODE_PORTS.to}`,
    );
  }
  return nodePort;
}
