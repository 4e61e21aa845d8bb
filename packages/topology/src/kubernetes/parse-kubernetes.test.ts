import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatCidr, formatSocketAddress, parseCidr } from "../address.ts";
import { type Fault, InputError } from "../errors.ts";
import type { FaultCode } from "../fault-code.ts";
import { planHost } from "../plan/plan-host.ts";
import { parseKubernetes } from "./parse-kubernetes.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const input = (...texts: readonly string[]) =>
  texts.map((text, index) => ({ file: `f${index}.yaml`, bytes: bytes(text) }));

/** Few of the inputs below are whole, which warn-of-loose-objects.test.ts is about. */
function aboutContents({ code }: Fault): boolean {
  return code !== "JOINS_NOTHING" && code !== "NO_ENDPOINTS_GIVEN";
}

function read(text: string, allow: readonly string[] = []) {
  const allowExternalIPs = allow.flatMap((block) => parseCidr(block) ?? []);
  const { warnings, ...parsed } = parseKubernetes(input(text), { allowExternalIPs });
  return { ...parsed, warnings: warnings.filter(aboutContents) };
}

function faultsOf(text: string) {
  try {
    return read(text).warnings;
  } catch (error) {
    if (error instanceof InputError) return error.faults.filter(aboutContents);
    throw error;
  }
}

function cidr(text: string) {
  const block = parseCidr(text);
  if (block === undefined) throw new TypeError(text);
  return block;
}

const NODES = `
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

const service = (spec: string, rest = "") => `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: prod }
spec:
  clusterIP: 10.96.0.10
${spec.replace(/^/gm, "  ")}
${rest}
---
`;

const PORT = "ports: [{ name: http, port: 80, targetPort: 9999 }]";

const slice = (endpoints: string, { ports = "{ name: http, port: 8080 }", type = "IPv4", name = "web-x" } = {}) => `
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
function endpointsOf(text: string, portIndex = 0) {
  const [found] = read(text).topology.services;
  return found?.ports[portIndex]?.endpoints.map((endpoint) => {
    const { host = "-", ready, serving, terminating } = endpoint;
    const state = `${ready ? "r" : ""}${serving ? "s" : ""}${terminating ? "t" : ""}`;
    return `${formatSocketAddress(endpoint)} ${host} ${state}`;
  });
}

describe("nodes", () => {
  test("are hosts with their internal addresses, blocks and zone", () => {
    const { topology } = read(NODES);
    expect(topology.source).toBe("kubernetes");
    expect(topology.hosts.map((host) => ({ ...host, podCIDRs: host.podCIDRs.map(formatCidr) }))).toEqual([
      {
        name: "node1",
        addresses: ["192.168.0.1", "fd00::1"],
        podCIDRs: ["10.1.0.0/24", "fd00:1::/64"],
        zone: "east",
        pods: [],
      },
      { name: "node2", addresses: ["192.168.0.2"], podCIDRs: ["10.2.0.0/24"], pods: [] },
    ]);
  });

  test("without an address are named and left out", () => {
    const { topology, warnings } = read("{ apiVersion: v1, kind: Node, metadata: { name: n }, status: {} }");
    expect([topology.hosts.length, ...warnings.map(({ code }) => code)]).toEqual([0, "NO_NODE_ADDRESS"]);
  });
});

test("a second podCIDR of a family is a fault", () => {
  const text = NODES.replace("podCIDRs: [10.1.0.0/24,", "podCIDRs: [10.1.0.0/24, 10.3.0.0/24,");
  expect(faultsOf(text).map(({ code, message }) => [code, message.includes("spec.podCIDRs[1]")])).toEqual([
    ["FAMILY_TWICE", true],
  ]);
});

describe("the objects", () => {
  const expected = read(NODES + service(PORT)).topology;

  test("may come as a List, a typed list, JSON, several documents or several files", () => {
    const documents = (NODES + service(PORT)).split(/^---$/m).filter((text) => text.trim() !== "");
    const listed = documents.map((text) => `- ${text.trim().replaceAll("\n", "\n  ")}`).join("\n");
    const list = `apiVersion: v1\nkind: List\nitems:\n${listed}`;
    expect(read(list).topology).toEqual(expected);
    expect(parseKubernetes(input(...documents)).topology).toEqual(expected);
    const services = {
      apiVersion: "v1",
      kind: "ServiceList",
      items: [
        {
          metadata: { name: "web", namespace: "prod" },
          spec: { clusterIP: "10.96.0.10", ports: [{ name: "http", port: 80, targetPort: 9999 }] },
        },
      ],
    };
    expect(parseKubernetes(input(NODES, JSON.stringify(services))).topology).toEqual(expected);
  });

  test("of other kinds are passed over and counted", () => {
    const others = [
      "{ apiVersion: v1, kind: ConfigMap, metadata: { name: a } }",
      "{ apiVersion: v1, kind: ConfigMap, metadata: { name: b } }",
      "{ apiVersion: example.org/v1, kind: Service, metadata: { name: knative } }",
      "{ apiVersion: v1, kind: Namespace }",
    ];
    const { topology, passedOver } = read(NODES + service(PORT) + others.join("\n---\n"));
    expect(topology).toEqual(expected);
    expect([...passedOver]).toEqual([
      ["ConfigMap", 2],
      ["Service of example.org/v1", 1],
      ["Namespace", 1],
    ]);
  });

  test("are in the namespace default where theirs is empty, and a slice may leave its name to the API server", () => {
    const text = (service(PORT) + slice("- { addresses: [10.1.0.5] }"))
      .replaceAll("namespace: prod", 'namespace: ""')
      .replace("name: web-x", "generateName: web-");
    expect(text).toContain("generateName");
    expect(read(text).topology.services).toMatchObject([
      { namespace: "default", name: "web", ports: [{ endpoints: [{ address: "10.1.0.5" }] }] },
    ]);
  });

  test("cannot stand beside a topology file", () => {
    expect(faultsOf(`${service(PORT)}\nhosts: []`).map(({ code }) => code)).toEqual(["MIXED_INPUT"]);
  });
});

describe("endpoints", () => {
  test("follow the slices' port of the same name and protocol, whatever targetPort says", () => {
    const text =
      NODES +
      service("ports: [{ name: http, port: 80, targetPort: 9999 }, { name: dns, port: 53, protocol: UDP }]") +
      slice("- { addresses: [10.1.0.5], nodeName: node1 }", {
        ports:
          "{ name: http, port: 8080, protocol: TCP }, { name: dns, port: 5353, protocol: UDP }, { name: dns, port: 1, protocol: TCP }",
      });
    expect([endpointsOf(text, 0), endpointsOf(text, 1)]).toEqual([
      ["10.1.0.5:8080 node1 rs"],
      ["10.1.0.5:5353 node1 rs"],
    ]);
  });

  test("have Kubernetes' defaults for conditions, and are local only where a listed node is named", () => {
    const endpoints = `
  - { addresses: [10.1.0.1], nodeName: node1 }
  - { addresses: [10.1.0.2], nodeName: node9, conditions: {} }
  - { addresses: [10.1.0.3], conditions: { ready: null, serving: null, terminating: null } }
  - { addresses: [10.1.0.4], conditions: { ready: false } }
  - { addresses: [10.1.0.5], conditions: { ready: false, serving: true, terminating: true } }`;
    expect(endpointsOf(NODES + service(PORT) + slice(endpoints))).toEqual([
      "10.1.0.1:8080 node1 rs",
      "10.1.0.2:8080 - rs",
      "10.1.0.3:8080 - rs",
      "10.1.0.4:8080 - s",
      "10.1.0.5:8080 - st",
    ]);
  });

  test("are sorted as texts, count once, and one that a node runs wins", () => {
    const endpoints = `
  - { addresses: [10.1.1.1] }
  - { addresses: [10.1.1.11, 10.1.1.12], nodeName: node1 }
  - { addresses: [10.1.1.1], nodeName: node2 }`;
    const twice = slice(endpoints) + slice("- { addresses: [10.1.1.1] }", { name: "web-y" });
    expect(endpointsOf(NODES + service(PORT) + twice)).toEqual(["10.1.1.11:8080 node1 rs", "10.1.1.1:8080 node2 rs"]);
  });

  test("carry their hints and the pod behind them", () => {
    const endpoints = `
  - addresses: [10.1.0.1]
    hints: { forZones: [{ name: east }], forNodes: [{ name: node1 }] }
    targetRef: { kind: Pod, name: web-1, namespace: prod }`;
    const [found] = read(service(PORT) + slice(endpoints)).topology.services;
    expect(found?.ports[0]?.endpoints[0]).toMatchObject({
      pod: "prod/web-1",
      hints: { zones: ["east"], nodes: ["node1"] },
    });
  });

  test("of both families come from two slices", () => {
    const dual = service(`clusterIPs: [10.96.0.10, "fd00:96::10"]\n${PORT}`);
    const text =
      dual +
      slice("- { addresses: [10.1.0.1] }") +
      slice('- { addresses: ["fd00:1::1"] }', { type: "IPv6", name: "web-6" });
    expect(endpointsOf(text)).toEqual(["10.1.0.1:8080 - rs", "[fd00:1::1]:8080 - rs"]);
  });

  const ENDPOINTS = `
apiVersion: v1
kind: Endpoints
metadata: { name: web, namespace: prod }
subsets:
  - addresses: [{ ip: 10.1.0.1, nodeName: node1 }]
    notReadyAddresses: [{ ip: 10.1.0.2 }]
    ports: [{ name: http, port: 8080 }]
---
`;

  test("may come from an Endpoints object, over which slices win", () => {
    expect(endpointsOf(NODES + service(PORT) + ENDPOINTS)).toEqual(["10.1.0.1:8080 node1 rs", "10.1.0.2:8080 - "]);
    const both = NODES + service(PORT) + ENDPOINTS + slice("- { addresses: [10.1.0.7] }");
    expect(endpointsOf(both)).toEqual(["10.1.0.7:8080 - rs"]);
  });

  const pod = (name: string, status: string, rest = "") => `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, namespace: prod, labels: { app: web, tier: front }${rest} }
spec:
  nodeName: node1
  containers:
    - { name: a, ports: [{ name: dns, containerPort: 5353, protocol: UDP }] }
    - { name: b, ports: [{ name: web, containerPort: 8080 }] }
status: ${status}
---
`;
  const ready = (ip: string) => `{ phase: Running, podIP: ${ip}, conditions: [{ type: Ready, status: "True" }] }`;

  test("are the selected pods where nothing else names them, named target ports looked up in each", () => {
    const pods =
      pod("p1", ready("10.1.0.1")) +
      pod("p2", "{ phase: Running, podIP: 10.1.0.2 }") +
      pod("p3", ready("10.1.0.3"), ", deletionTimestamp: 2026-01-01T00:00:00Z") +
      pod("p4", "{ phase: Succeeded, podIP: 10.1.0.4 }") +
      pod("p5", "{ phase: Pending }") +
      pod("p6", ready("10.1.0.6")).replace("app: web", "app: db");
    const selecting = (port: string) => service(`selector: { app: web, tier: front }\nports: [${port}]`);
    expect(endpointsOf(NODES + selecting("{ port: 80, targetPort: web }") + pods)).toEqual([
      "10.1.0.1:8080 node1 rs",
      "10.1.0.2:8080 node1 ",
      "10.1.0.3:8080 node1 st",
    ]);
    expect(endpointsOf(NODES + selecting("{ port: 53, protocol: UDP, targetPort: dns }") + pods)?.[0]).toBe(
      "10.1.0.1:5353 node1 rs",
    );
    expect(endpointsOf(NODES + selecting("{ port: 80, targetPort: 81 }") + pods)?.[0]).toBe("10.1.0.1:81 node1 rs");
    for (const port of ["{ port: 80 }", "{ port: 80, targetPort: 0 }", '{ port: 80, targetPort: "" }']) {
      expect(endpointsOf(NODES + selecting(port) + pods)?.[0]).toBe("10.1.0.1:80 node1 rs");
    }
    expect(endpointsOf(NODES + selecting("{ port: 80, targetPort: nothing }") + pods)).toEqual([]);
  });

  test("that name a node stand for its pods where the input has no pods", () => {
    const text =
      NODES + service(PORT) + slice("- { addresses: [10.1.0.5], nodeName: node1, targetRef: { kind: Pod, name: a } }");
    expect(read(text).topology.hosts[0]?.pods).toMatchObject([
      { name: "prod/a", addresses: [{ address: "10.1.0.5" }] },
    ]);
    const known = text + pod("p1", ready("10.1.0.5"));
    expect(read(known).topology.hosts[0]?.pods.map(({ name }) => name)).toEqual(["prod/p1"]);
  });
});

describe("a Service", () => {
  const settings = (text: string, allow: readonly string[] = []) => {
    const [found] = read(text, allow).topology.services;
    if (found === undefined) throw new Error("no service");
    return found;
  };

  test("of type LoadBalancer has its ingress IPs, but for those that are proxied or names", () => {
    const found = settings(
      service(
        `type: LoadBalancer\nexternalTrafficPolicy: Local\nhealthCheckNodePort: 31000\nloadBalancerSourceRanges: [" 203.0.113.000/025 "]\n${PORT}`,
        "status: { loadBalancer: { ingress: [{ ip: 198.51.100.1, ipMode: VIP }, { ip: 198.51.100.2, ipMode: Proxy }, { ip: 198.51.100.3 }, { hostname: a.example }] } }",
      ),
    );
    expect(found.loadBalancerIPs).toEqual(["198.51.100.1", "198.51.100.3"]);
    expect(found.loadBalancerSourceRanges.map(formatCidr)).toEqual(["203.0.113.0/25"]);
    expect([found.externalTrafficPolicy, found.healthCheckNodePort]).toEqual(["Local", 31000]);
  });

  test("with ranges of one family has its other load-balancer IPs open, and says so", () => {
    const spec = `type: LoadBalancer\nclusterIPs: [10.96.0.10, "fd00:96::1"]\nloadBalancerSourceRanges: [10.0.0.0/8]\n${PORT}`;
    const { warnings } = read(service(spec, 'status: { loadBalancer: { ingress: [{ ip: "fd00:9::1" }] } }'));
    expect(warnings.map(({ code }) => code)).toEqual(["OPEN_FAMILY"]);
  });

  test.for([
    ["a NodePort service with policy Cluster", "type: NodePort\nhealthCheckNodePort: 31000", "Cluster", undefined],
    [
      "a NodePort service",
      "type: NodePort\nexternalTrafficPolicy: Local\nhealthCheckNodePort: 31000",
      "Local",
      undefined,
    ],
    ["a service that nothing outside reaches", "externalTrafficPolicy: Local", "Cluster", undefined],
    ["one with external IPs", "externalIPs: [203.0.113.1]\nexternalTrafficPolicy: Local", "Local", undefined],
  ] as const)("%s has the policies that count for it", ([, spec, policy, healthCheck]) => {
    const found = settings(service(`${spec}\n${PORT}`), ["203.0.113.0/24"]);
    expect([found.externalTrafficPolicy, found.healthCheckNodePort]).toEqual([policy, healthCheck]);
  });

  test("has affinity for three hours unless it says how long", () => {
    expect(settings(service(`sessionAffinity: ClientIP\n${PORT}`)).sessionAffinity).toEqual({ timeoutSeconds: 10800 });
    const spec = `sessionAffinity: ClientIP\nsessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } }\n${PORT}`;
    expect(settings(service(spec)).sessionAffinity).toEqual({ timeoutSeconds: 60 });
    expect(settings(service(`sessionAffinity: None\n${PORT}`)).sessionAffinity).toBeUndefined();
  });

  test.for([
    ["headless", "clusterIP: None"],
    ["without a ClusterIP yet", 'clusterIP: ""'],
    ["of type ExternalName", "clusterIP: 10.96.0.10\n  type: ExternalName\n  externalName: a.example"],
  ])("%s has nothing to serve", ([, spec]) => {
    const found = settings(service(PORT).replace("clusterIP: 10.96.0.10", spec ?? ""));
    expect(found.clusterIPs).toEqual([]);
  });

  test("with the label of another proxy is left to it", () => {
    const label = "labels: { service.kubernetes.io/service-proxy-name: cilium }";
    const { topology, warnings } = read(service(PORT).replace("namespace: prod }", `namespace: prod, ${label} }`));
    expect(topology.services).toEqual([]);
    expect(warnings.map(({ code, message }) => [code, message])).toEqual([
      [
        "OTHER_PROXY",
        'Service "prod/web": metadata.labels[service.kubernetes.io/service-proxy-name]: it is left to the proxy "cilium" and not served here',
      ],
    ]);
  });

  test.for(["NodePort", "LoadBalancer"])("of type %s without a ClusterIP is served nowhere, and says so", (type) => {
    const text = service(`type: ${type}\n${PORT}`).replace("10.96.0.10", "None");
    expect(read(text).warnings.map(({ code, message }) => [code, message.includes(`of type ${type}`)])).toEqual([
      ["NO_EFFECT", true],
    ]);
  });

  test("has only those external IPs that are allowed", () => {
    const text = service(`externalIPs: [203.0.113.1, 203.0.114.1]\n${PORT}`);
    expect(settings(text).externalIPs).toEqual([]);
    expect(settings(text, ["203.0.113.0/24"]).externalIPs).toEqual(["203.0.113.1"]);
    const { warnings } = read(text, ["203.0.113.0/24"]);
    expect(warnings.map(({ code, message }) => [code, message.includes("203.0.114.1")])).toEqual([
      ["EXTERNAL_IP_REFUSED", true],
    ]);
  });

  test("says once how many Services go without theirs", () => {
    const services = Array.from({ length: 12 }, (_, index) =>
      service(`externalIPs: [203.0.113.${index + 1}]\n${PORT}`)
        .replace("name: web,", `name: web${index},`)
        .replace("10.96.0.10", `10.96.1.${index + 1}`),
    );
    const { warnings } = read(service(PORT) + services.join(""));
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringMatching(/leaves out those of 12 of 13 Services: prod\/web0 \(203\.0\.113\.1\), .* and 2 more$/),
    ]);
  });

  test("goes without an external IP whose port another has", () => {
    const other = service(`externalIPs: [203.0.113.1]\n${PORT}`)
      .replace("name: web,", "name: other,")
      .replace("0.10", "0.11");
    const { topology, warnings } = read(service(`externalIPs: [203.0.113.1]\n${PORT}`) + other, ["0.0.0.0/0"]);
    expect(topology.services.map(({ externalIPs }) => externalIPs)).toEqual([["203.0.113.1"], []]);
    expect(warnings.map(({ code }) => code)).toEqual(["DUPLICATE_FRONTEND"]);
  });

  test("that two share is lost only for the ports that both have", () => {
    const ports = (...numbers: number[]) => `ports: [${numbers.map((port) => `{ name: p${port}, port: ${port} }`)}]`;
    const sharing = (name: string, last: string, ...numbers: number[]) =>
      service(`externalIPs: [203.0.113.1]\n${ports(...numbers)}`)
        .replace("name: web,", `name: ${name},`)
        .replace("0.10", `0.${last}`);
    const given = sharing("web", "10", 80, 81) + sharing("other", "11", 81, 82) + sharing("third", "12", 82);
    const { topology, warnings } = read(NODES + given, ["0.0.0.0/0"]);
    const plan = planHost(topology, { host: "node1" });
    const external = plan.ports.flatMap(({ service: { name }, frontends }) =>
      frontends.filter(({ kind }) => kind === "externalIP").map(({ port }) => `${name}:${port}`),
    );
    expect(external).toEqual(["web:80", "web:81", "other:82"]);
    expect(warnings.map(({ message }) => message.split("spec.")[1])).toEqual([
      'externalIPs[0]: 203.0.113.1 has 81/tcp through Service "prod/web" already; this Service is not served there',
      'externalIPs[0]: 203.0.113.1 has a port of this Service already, through Service "prod/other"; it is not served here',
    ]);
  });
});

/** A line with `‸` before what is wrong. */
const FAULTS: readonly { name: string; spec: string; code: FaultCode; path: string }[] = [
  {
    name: "a port out of range",
    spec: "ports: [{ port: ‸70000 }]",
    code: "PORT_OUT_OF_RANGE",
    path: "spec.ports[0].port",
  },
  { name: "no port", spec: "ports: [‸{ name: a }]", code: "MISSING_KEY", path: "spec.ports[0]" },
  {
    name: "an unknown protocol",
    spec: "ports: [{ port: 80, protocol: ‸tcp }]",
    code: "UNKNOWN_PROTOCOL",
    path: "spec.ports[0].protocol",
  },
  { name: "an unknown type", spec: `type: ‸Balancer\n${PORT}`, code: "UNKNOWN_VALUE", path: "spec.type" },
  {
    name: "an unknown policy",
    spec: `internalTrafficPolicy: ‸Near\n${PORT}`,
    code: "UNKNOWN_VALUE",
    path: "spec.internalTrafficPolicy",
  },
  { name: "a port as text", spec: "ports: [{ port: ‸http }]", code: "WRONG_TYPE", path: "spec.ports[0].port" },
  { name: "ports that are not a list", spec: "ports: ‸80", code: "WRONG_TYPE", path: "spec.ports" },
  {
    name: "an address that is not one",
    spec: `clusterIPs: [‸10.96.0]\n${PORT}`,
    code: "BAD_ADDRESS",
    path: "spec.clusterIPs[0]",
  },
  {
    name: "a first ClusterIP that is another than clusterIP",
    spec: `clusterIPs: [‸10.96.0.11]\n${PORT}`,
    code: "CONFLICTING_KEYS",
    path: "spec.clusterIPs[0]",
  },
  {
    name: "no ClusterIP in the one field and one in the other",
    spec: `clusterIPs: [‸None]\n${PORT}`,
    code: "CONFLICTING_KEYS",
    path: "spec.clusterIPs[0]",
  },
  { name: "no port", spec: "ports: ‸[]", code: "MISSING_KEY", path: "spec.ports" },
  {
    name: "a port twice",
    spec: "ports: [{ name: a, port: 80 }, ‸{ name: b, port: 80 }]",
    code: "DUPLICATE_NAME",
    path: "spec.ports[1]",
  },
  {
    name: "a targetPort that is a number in quotes",
    spec: 'ports: [{ port: 80, targetPort: ‸"8080" }]',
    code: "BAD_NAME",
    path: "spec.ports[0].targetPort",
  },
  {
    name: "a targetPort that no port has",
    spec: "ports: [{ port: 80, targetPort: ‸65536 }]",
    code: "PORT_OUT_OF_RANGE",
    path: "spec.ports[0].targetPort",
  },
  {
    name: "a targetPort whose name is too long",
    spec: "ports: [{ port: 80, targetPort: ‸sixteen-letters-x }]",
    code: "BAD_NAME",
    path: "spec.ports[0].targetPort",
  },
  {
    name: "two ClusterIPs of a family",
    spec: `clusterIPs: [10.96.0.10, ‸10.96.0.11]\n${PORT}`,
    code: "FAMILY_TWICE",
    path: "spec.clusterIPs[1]",
  },
  {
    name: "a loopback address as external IP",
    spec: `externalIPs: [‸127.0.0.1]\n${PORT}`,
    code: "BAD_ADDRESS",
    path: "spec.externalIPs[0]",
  },
  {
    name: "a source range that is not one, which would leave it open",
    spec: `type: LoadBalancer\nloadBalancerSourceRanges: [‸10.0.0.0/33]\n${PORT}`,
    code: "BAD_CIDR",
    path: "spec.loadBalancerSourceRanges[0]",
  },
  {
    name: "a source range that is empty, which would leave it open",
    spec: `type: LoadBalancer\nloadBalancerSourceRanges: [‸""]\n${PORT}`,
    code: "BAD_CIDR",
    path: "spec.loadBalancerSourceRanges[0]",
  },
  {
    name: "a source range that is null, which would leave it open",
    spec: `type: LoadBalancer\nloadBalancerSourceRanges: [10.0.0.0/8, ‸null]\n${PORT}`,
    code: "BAD_CIDR",
    path: "spec.loadBalancerSourceRanges[1]",
  },
  {
    name: "an external IP that is empty",
    spec: `externalIPs: [‸""]\n${PORT}`,
    code: "BAD_ADDRESS",
    path: "spec.externalIPs[0]",
  },
  {
    name: "affinity for two days",
    spec: `sessionAffinity: ClientIP\nsessionAffinityConfig: { clientIP: { timeoutSeconds: ‸172800 } }\n${PORT}`,
    code: "NUMBER_OUT_OF_RANGE",
    path: "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
  },
  {
    name: "a port without a name among several",
    spec: "ports: [{ name: a, port: 80 }, ‸{ port: 81 }]",
    code: "MISSING_KEY",
    path: "spec.ports[1]",
  },
  {
    name: "one name of two ports",
    spec: "ports: [{ name: a, port: 80 }, ‸{ name: a, port: 81 }]",
    code: "DUPLICATE_NAME",
    path: "spec.ports[1]",
  },
  {
    name: "a port name that is not a label",
    spec: "ports: [{ name: ‸A_B, port: 80 }]",
    code: "BAD_NAME",
    path: "spec.ports[0].name",
  },
  {
    name: "one NodePort of two ports",
    spec: "type: NodePort\nports: [{ name: a, port: 80, nodePort: 30000 }, { name: b, port: 81, nodePort: ‸30000 }]",
    code: "DUPLICATE_NODE_PORT",
    path: "spec.ports[1].nodePort",
  },
];

describe("a fault in a Service", () => {
  test.for(FAULTS)("$name: $code at $path", ({ spec, code, path }) => {
    const text = service(spec);
    const offset = text.indexOf("‸");
    const lines = text.slice(0, offset).split("\n");
    const faults = faultsOf(text.replace("‸", ""));
    expect(faults.map((fault) => `${fault.severity} ${fault.code} ${fault.at?.line}:${fault.at?.column}`)).toEqual([
      `error ${code} ${lines.length}:${(lines.at(-1) ?? "").length + 1}`,
    ]);
    expect(faults[0]?.message).toContain(`Service "prod/web": ${path}: `);
  });

  test.for([
    ["leading zeros", `clusterIPs: [10.96.000.010]\n${PORT}`, "SLOPPY_ADDRESS"],
    ["IPv4 in IPv6 form", `clusterIPs: ["::ffff:10.96.0.10"]\n${PORT}`, "SLOPPY_ADDRESS"],
    ["an unusual NodePort", "type: NodePort\nports: [{ port: 80, nodePort: 8080 }]", "UNUSUAL_NODE_PORT"],
    ["a NodePort of a Service that has none", "ports: [{ port: 80, nodePort: 8080 }]", "NO_EFFECT"],
    ["source ranges without a load balancer", `loadBalancerSourceRanges: [10.0.0.0/8]\n${PORT}`, "NO_EFFECT"],
  ])("%s is taken with a warning", ([, spec = "", code]) => {
    const { topology, warnings } = read(service(spec));
    expect(warnings.map((warning) => warning.code)).toEqual([code]);
    expect(topology.services[0]?.clusterIPs).toEqual(["10.96.0.10"]);
  });

  test("null and fields that nobody asks for are none", () => {
    const spec = `externalIPs: null\nsessionAffinity: null\nipFamilies: 7\nnodePort: [x]\n${PORT}`;
    expect(faultsOf(service(spec))).toEqual([]);
  });

  test("is a name that could be anything but a name", () => {
    const name = JSON.stringify('x"\n-A INPUT -j ACCEPT');
    const text = `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { clusterIP: 10.96.0.1, ports: [{ port: 80 }] }`;
    expect(faultsOf(text).map(({ code, at }) => `${code} ${at?.line}`)).toEqual(["BAD_NAME 3"]);
  });

  test.for(["name: web.a", "name: web, namespace: a.b", `name: ${"a".repeat(64)}`])(
    "is %s, which is not a label",
    (named) => {
      const text = `apiVersion: v1\nkind: Service\nmetadata: { ${named} }\nspec: { clusterIP: 10.96.0.1, ports: [{ port: 80 }] }`;
      expect(faultsOf(text).map(({ code, at }) => `${code} ${at?.line}`)).toEqual(["BAD_NAME 3"]);
    },
  );

  test("is a ClusterIP that two have", () => {
    const other = service(PORT).replace("name: web,", "name: other,");
    expect(faultsOf(service(PORT) + other).map(({ code }) => code)).toEqual(["DUPLICATE_FRONTEND"]);
  });

  test("is a ClusterIP that is a Node's address; other VIPs there, and any on a pod's, are warned of", () => {
    const text = service(
      `type: LoadBalancer\nexternalIPs: [10.1.0.5]\n${PORT}`,
      "status: { loadBalancer: { ingress: [{ ip: 192.168.0.2 }] } }",
    );
    const pod = "{ apiVersion: v1, kind: Pod, metadata: { name: p }, status: { podIP: 10.1.0.5 } }";
    const found = (given: string) =>
      parseKubernetes(input(`${NODES}${given}${pod}`), { allowExternalIPs: [cidr("10.0.0.0/8")] }).warnings;
    expect(found(text).map(({ code, message }) => `${code} ${message}`)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(
          /^VIP_IS_POD_ADDRESS .*spec\.externalIPs\[0\]: 10\.1\.0\.5 is the address of pod default\/p/,
        ),
        expect.stringMatching(/^VIP_IS_HOST_ADDRESS .*ingress\[0\]\.ip: 192\.168\.0\.2 is the address of node node2;/),
      ]),
    );
    const faults = faultsOf(NODES + text.replace("10.96.0.10", "192.168.0.1"));
    expect(faults.map(({ code, severity, message }) => `${severity} ${code} ${message}`)).toContainEqual(
      expect.stringMatching(/^error VIP_IS_HOST_ADDRESS .*spec\.clusterIP: 192\.168\.0\.1/),
    );
  });

  test("is not the same object twice: the last one counts, and one warning names both places", () => {
    const second = service(PORT).replace("10.96.0.10", "10.96.0.20");
    const { topology, warnings } = read(service(PORT) + second);
    expect(topology.services.map(({ clusterIPs }) => clusterIPs)).toEqual([["10.96.0.20"]]);
    expect(warnings.map(({ code, at, hint }) => [code, at?.line, hint])).toEqual([
      ["DUPLICATE_NAME", 11, "The first is at f0.yaml:2:1"],
    ]);
    expect(faultsOf(NODES + NODES).map(({ code, severity }) => `${severity} ${code}`)).toEqual([
      "warning DUPLICATE_NAME",
      "warning DUPLICATE_NAME",
    ]);
  });

  test("is a Service among objects that does not say of which API", () => {
    const faults = faultsOf(`${service(PORT)}\nkind: Service\nmetadata: { name: other }`);
    expect(faults.map(({ code, hint }) => `${code} ${hint}`)).toEqual(["MISSING_KEY Give it one: apiVersion: v1"]);
  });

  test("of an object without a name is that alone, once for each", () => {
    const nameless = (metadata: string) =>
      `apiVersion: v1\nkind: Service\nmetadata: ${metadata}\nspec: { clusterIP: None }\n---\n`;
    expect(faultsOf(nameless("{}") + nameless("{}")).map(({ code }) => code)).toEqual(["MISSING_KEY", "MISSING_KEY"]);
    expect(faultsOf(nameless("hello")).map(({ code, message }) => `${code} ${message}`)).toEqual([
      expect.stringContaining('MISSING_KEY Cannot read Service "default/": metadata.name'),
      'WRONG_TYPE Cannot read Service "default/": metadata: must be a mapping, not "hello"',
    ]);
  });

  test("is port 0, which is shown where it stands", () => {
    const [fault] = faultsOf(service("ports: [{ port: 0 }]"));
    expect([fault?.code, fault?.message]).toEqual([
      "PORT_OUT_OF_RANGE",
      'Cannot read Service "prod/web": spec.ports[0].port: 0 is not in 1–65535',
    ]);
  });

  test("in an address or a block has a hint", () => {
    const hints = (spec: string) => faultsOf(service(spec)).map(({ hint }) => hint);
    expect(hints(`externalIPs: [10.96.0.1.80]\n${PORT}`)).toEqual([
      expect.stringContaining("Was a colon meant, 10.96.0.1:80?"),
    ]);
    expect(hints(`type: LoadBalancer\nloadBalancerSourceRanges: ["10.0.0.1"]\n${PORT}`)).toEqual([
      "Give its length too: 10.0.0.1/32",
    ]);
  });

  test("is a ClusterIP or endpoint that kube-proxy takes and nothing can reach: a warning", () => {
    const texts = [
      service(PORT).replace("10.96.0.10", "127.0.0.5"),
      service(PORT).replace("10.96.0.10", "224.1.2.3"),
      service(`type: LoadBalancer\n${PORT}`, "status: { loadBalancer: { ingress: [{ ip: 0.0.0.0 }] } }"),
      service(PORT) + slice("- { addresses: [239.1.2.3] }"),
    ];
    for (const text of texts) {
      expect(faultsOf(text)).toEqual([expect.objectContaining({ code: "SPECIAL_ADDRESS", severity: "warning" })]);
    }
  });

  test("is an endpoint that would open the node itself", () => {
    for (const address of ["127.0.0.1", "169.254.169.254", "0.0.0.0"]) {
      const faults = faultsOf(service(PORT) + slice(`- { addresses: [${address}] }`));
      expect(faults.map(({ code, message }) => [code, message.includes("endpoints[0].addresses[0]")])).toEqual([
        ["BAD_ADDRESS", true],
      ]);
    }
  });
});

test("never throws anything but an InputError, whatever the objects hold", () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom("10.0.0.1", "10.0.0.0/8", "None", "LoadBalancer", "web"),
  );
  const mapping = (...keys: string[]) => fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 6 });
  const object = fc.record({
    apiVersion: fc.constantFrom("v1", "discovery.k8s.io/v1"),
    kind: fc.constantFrom("Service", "Node", "Pod", "Endpoints", "EndpointSlice", "List"),
    metadata: fc.oneof(mapping("name", "namespace", "labels"), value),
    spec: fc.oneof(
      mapping("type", "clusterIP", "clusterIPs", "ports", "externalIPs", "podCIDR", "selector", "nodeName"),
      value,
    ),
    status: fc.oneof(mapping("addresses", "podIP", "loadBalancer", "conditions"), value),
    endpoints: value,
    ports: fc.array(mapping("name", "port", "protocol"), { maxLength: 2 }),
    addressType: fc.constantFrom("IPv4", "IPv6", "FQDN", null),
    items: value,
    subsets: value,
  });
  fc.assert(
    fc.property(fc.array(object, { minLength: 1, maxLength: 4 }), (items) => {
      faultsOf(JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    }),
    { numRuns: 500 },
  );
});
