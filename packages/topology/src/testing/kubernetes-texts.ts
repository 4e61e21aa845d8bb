import { formatSocketAddress, parseCidr } from "../address.ts";
import { type Fault, InputError } from "../errors.ts";
import { parseKubernetes } from "../kubernetes/parse-kubernetes.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
/** Files of objects, one a text. */
export const input = (...texts: readonly string[]) =>
  texts.map((text, index) => ({ file: `f${index}.yaml`, bytes: bytes(text) }));

/** Few texts of tests are whole, which warn-of-loose-objects.test.ts is about. */
function aboutContents({ code }: Fault): boolean {
  return code !== "JOINS_NOTHING" && code !== "NO_ENDPOINTS_GIVEN";
}

/** @param allow blocks of external IPs @throws InputError */
export function read(text: string, allow: readonly string[] = []) {
  const allowExternalIPs = allow.flatMap((block) => parseCidr(block) ?? []);
  const { warnings, ...parsed } = parseKubernetes(input(text), { allowExternalIPs });
  return { ...parsed, warnings: warnings.filter(aboutContents) };
}

/** What is wrong with objects, whether or not they can be read all the same. */
export function faultsOf(text: string) {
  try {
    return read(text).warnings;
  } catch (error) {
    if (error instanceof InputError) return error.faults.filter(aboutContents);
    throw error;
  }
}

export function cidr(text: string) {
  const block = parseCidr(text);
  if (block === undefined) throw new TypeError(text);
  return block;
}

/** node1 with two families, and node2. */
export const NODES = `
apiVersion: v1
kind: Node
metadata: { name: node1, labels: { topology.kubernetes.io/zone: east } }
spec: { podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, "fd00:1::/64"] }
status:
  addresses:
    - { type: Hostname, address: node1 }
    - { type: InternalIP, address: 192.168.0.1 }
    - { type: InternalIP, address: "fd00::1" }
    - { type: ExternalIP, address: 203.0.113.9 }
---
apiVersion: v1
kind: Node
metadata: { name: node2 }
spec: { podCIDR: 10.2.0.0/24 }
status: { addresses: [{ type: InternalIP, address: 192.168.0.2 }] }
---
`;

/** The Service web of namespace prod. */
export const service = (spec: string, rest = "") => `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: prod }
spec:
  clusterIP: 10.96.0.10
${spec.replace(/^/gm, "  ")}
${rest}
---
`;

export const PORT = "ports: [{ name: http, port: 80, targetPort: 9999 }]";

/** An EndpointSlice of it. */
export const slice = (
  endpoints: string,
  { ports = "{ name: http, port: 8080 }", type = "IPv4", name = "web-x" } = {},
) => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, namespace: prod, labels: { kubernetes.io/service-name: web } }
addressType: ${type}
ports: [${ports}]
endpoints:
${endpoints}
---
`;

/** `address:port host state hints` of the first port. */
export function endpointsOf(text: string, portIndex = 0) {
  const [found] = read(text).topology.services;
  return found?.ports[portIndex]?.endpoints.map((endpoint) => {
    const { host = "-", ready, serving, terminating } = endpoint;
    const state = `${ready ? "r" : ""}${serving ? "s" : ""}${terminating ? "t" : ""}`;
    return `${formatSocketAddress(endpoint)} ${host} ${state}`;
  });
}
