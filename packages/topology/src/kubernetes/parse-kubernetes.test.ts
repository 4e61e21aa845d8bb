import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatCidr } from "../address.ts";
import { faultsOf, input, NODES, PORT, read, service, slice } from "../testing/kubernetes-texts.ts";
import { parseKubernetes } from "./parse-kubernetes.ts";

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
