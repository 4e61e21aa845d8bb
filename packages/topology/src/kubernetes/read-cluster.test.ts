import { expect, test } from "vitest";
import { type ClusterObjects, readCluster } from "./read-cluster.ts";

const NODE = {
  metadata: { name: "node1" },
  spec: { podCIDR: "10.5.75.0/24" },
  status: { addresses: [{ type: "InternalIP", address: "192.168.77.1" }] },
};

function service(name: string, spec: object, metadata: object = {}) {
  return { metadata: { name, namespace: "shop", ...metadata }, spec: { ports: [{ port: 80 }], ...spec } };
}

function slice(owner: string, addresses: readonly string[]) {
  return {
    metadata: { name: `${owner}-x`, namespace: "shop", labels: { "kubernetes.io/service-name": owner } },
    addressType: "IPv4",
    ports: [{ name: "", port: 3000, protocol: "TCP" }],
    endpoints: addresses.map((address) => ({
      addresses: [address],
      nodeName: "node1",
      targetRef: { kind: "Pod", namespace: "shop", name: `pod-${address.replaceAll(".", "-")}` },
    })),
  };
}

function cluster(
  objects: Partial<Record<"Service" | "EndpointSlice" | "Node" | "ServiceCIDR", readonly object[]>>,
): ClusterObjects {
  const { Service = [], EndpointSlice = [], Node = [NODE], ServiceCIDR = [] } = objects;
  return new Map([
    ["Service", Service],
    ["EndpointSlice", EndpointSlice],
    ["Node", Node],
    ["ServiceCIDR", ServiceCIDR],
  ] as const);
}

test("a cluster is read as who follows it has it, with the pods that endpoints name", () => {
  const { topology, warnings } = readCluster(
    cluster({ Service: [service("web", { clusterIP: "10.96.0.1" })], EndpointSlice: [slice("web", ["10.5.75.2"])] }),
  );
  expect(warnings).toEqual([]);
  expect(topology.services.map(({ name, clusterIPs }) => [name, clusterIPs])).toEqual([["web", ["10.96.0.1"]]]);
  expect(topology.services[0]?.ports[0]?.endpoints).toMatchObject([
    { address: "10.5.75.2", port: 3000, host: "node1" },
  ]);
  expect(topology.hosts).toMatchObject([{ name: "node1", pods: [{ name: "shop/pod-10-5-75-2" }] }]);
});

test("an object that cannot be read is left out and named; what is another proxy's or joins to nothing is said", () => {
  const { topology, warnings } = readCluster(
    cluster({
      Service: [
        service("web", { clusterIP: "10.96.0.1" }),
        service("bad", { clusterIP: "10.96.0.300" }),
        service("theirs", { clusterIP: "10.96.0.3" }, { labels: { "service.kubernetes.io/service-proxy-name": "x" } }),
        service("headless", { clusterIP: "None" }),
      ],
      EndpointSlice: [slice("web", ["10.5.75.2"]), slice("theirs", ["10.5.75.3"]), slice("lost", ["10.5.75.4"])],
    }),
  );
  expect(topology.services.map(({ name }) => name)).toEqual(["web"]);
  expect(warnings.map(({ severity, code, at }) => [severity, code, at])).toEqual([
    ["warning", "BAD_ADDRESS", { object: "Service shop/bad" }],
    ["warning", "OTHER_PROXY", { object: "Service shop/theirs" }],
    ["warning", "JOINS_NOTHING", { object: "EndpointSlice shop/lost-x" }],
  ]);
});

test("a slice that is labelled as a headless Service's is not another one's: kube-proxy does not ask for it", () => {
  const labelled = slice("web", ["10.5.75.2"]);
  Object.assign(labelled.metadata.labels, { "service.kubernetes.io/headless": "" });
  const { topology, warnings } = readCluster(
    cluster({ Service: [service("web", { clusterIP: "10.96.0.1" })], EndpointSlice: [labelled] }),
  );
  expect(topology.services[0]?.ports[0]?.endpoints).toEqual([]);
  expect(warnings).toMatchObject([{ code: "JOINS_NOTHING", at: { object: "EndpointSlice shop/web-x" } }]);
});

test("a service range that holds a node's address is left out, as a follower does", () => {
  const { topology, warnings } = readCluster(
    cluster({ ServiceCIDR: [{ metadata: { name: "wide" }, spec: { cidrs: ["192.168.0.0/16", "10.96.0.0/16"] } }] }),
  );
  expect(topology.node.serviceCIDRs).toHaveLength(1);
  expect(warnings.map(({ code }) => code)).toEqual(["SERVICE_CIDR_TOO_WIDE"]);
});
