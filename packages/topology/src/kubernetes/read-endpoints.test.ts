import { describe, expect, test } from "vitest";
import { endpointsOf, NODES, PORT, read, service, slice } from "../testing/kubernetes-texts.ts";

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
