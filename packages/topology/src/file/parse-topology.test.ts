import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { planHost } from "../plan/plan-host.ts";
import { read } from "../testing/topology-texts.ts";
import { exampleTopology } from "./example-topology.ts";
import { parseTopology } from "./parse-topology.ts";

describe("a topology file", () => {
  const example = readFileSync(new URL("../../../../examples/cloudos.yaml", import.meta.url));

  test("the founding document's set-up is the built-in example", () => {
    expect(parseTopology(example, { file: "cloudos.yaml" })).toEqual(exampleTopology());
  });

  test("means the same as JSON, tabs and byte-order mark included", () => {
    const json = `{
\t"hosts": [{"name": "h1", "address": "192.168.0.1", "pods": [{"name": "p1", "address": "10.5.0.2:3000"}]}],
\t"services": [{"name": "s1", "clusterIP": "10.100.0.1", "ports": [{"port": 80}], "endpoints": ["p1"]}]
}`;
    const yaml = `
hosts: [{ name: h1, address: 192.168.0.1, pods: [{ name: p1, address: "10.5.0.2:3000" }] }]
services: [{ name: s1, clusterIP: 10.100.0.1, ports: [{ port: 80 }], endpoints: [p1] }]`;
    expect(read(`\ufeff${json}`)).toEqual(read(yaml));
  });

  test("has every key of the design read", () => {
    const { topology: read_, warnings } = read(`
hosts:
  - name: h1
    addresses: [192.168.0.1, "fd00::1"]
    podCIDRs: [10.5.0.0/24, "fd00:5::/64"]
    zone: east
    pods:
      - name: p1
        addresses: ["10.5.0.2:3000", "[fd00:5::2]:3000"]
        ready: false
        serving: true
        terminating: true
        hints: { forZones: [{ name: east }, west], forNodes: [h1] }
services:
  - name: s1
    namespace: prod
    id: web
    clusterIPs: [10.100.0.1, "fd00:100::1"]
    ports:
      - { name: http, port: 80, targetPort: 8080, nodePort: 30080, protocol: TCP }
      - { name: dns, port: 53, protocol: UDP }
    endpoints: [p1, "203.0.113.9:9090", "[fd00:9::9]:53"]
    sessionAffinity: ClientIP
    sessionAffinityTimeoutSeconds: 60
    externalIPs: [203.0.113.1]
    loadBalancerIPs: [203.0.113.2]
    loadBalancerSourceRanges: [198.51.100.0/24]
    internalTrafficPolicy: Local
    externalTrafficPolicy: Local
    healthCheckNodePort: 32000
    proxyProtocol: v2
node:
  detectLocalMode: BridgeInterface
  detectLocal: { bridgeInterface: cni0 }
  clusterCIDR: 10.5.0.0/16,fd00:5::/48
  masqueradeAll: true
  masqueradeBit: 20
  nodePortAddresses: [192.168.0.0/16, "::1"]
  localhostNodePorts: true
  serviceCIDRs: [10.100.0.0/16, "fd00:100::/112"]
  affinityTableSize: 1024
`);
    expect(warnings.map(({ code }) => code)).toEqual(["TARGET_PORT_DIFFERS", "TARGET_PORT_DIFFERS"]);
    expect(read_).toMatchSnapshot();
  });

  test("may leave out all that has a default", () => {
    const { topology: minimal } = read("hosts: [{ name: h1, address: 192.168.0.1 }]");
    expect(minimal.hosts[0]).toEqual({ name: "h1", addresses: ["192.168.0.1"], podCIDRs: [], pods: [] });
    expect(minimal.services).toEqual([]);
  });

  test.for(["a'b\"c", "line\nbreak", "$(reboot); -j ACCEPT", "日本", "x".repeat(300), "10.0.0.1:80", "__proto__"])(
    "takes any name: %j",
    (name) => {
      const { topology: named } = read(
        JSON.stringify({
          hosts: [{ name, address: "192.168.0.1", pods: [{ name, address: "10.5.0.2:3000" }] }],
          services: [{ name, id: name, clusterIP: "10.100.0.1", ports: [{ name, port: 80 }], endpoints: [name] }],
        }),
      );
      const [service] = named.services;
      expect([named.hosts[0]?.name, service?.name, service?.ports[0]?.endpoints[0]?.pod]).toEqual([name, name, name]);
    },
  );

  test("knows aliases and merge keys", () => {
    const { topology: merged } = read(`
hosts: [{ name: h1, address: 192.168.0.1, pods: [{ name: p1, address: "10.5.0.2:80" }] }]
services:
  - &web { name: s1, clusterIP: 10.100.0.1, ports: &ports [{ port: 80 }], endpoints: [p1] }
  - { <<: *web, name: s2, clusterIP: 10.100.0.2, ports: *ports }`);
    expect(merged.services.map(({ name, clusterIPs }) => [name, ...clusterIPs])).toEqual([
      ["s1", "10.100.0.1"],
      ["s2", "10.100.0.2"],
    ]);
  });
});

test("an endpoint on a host's own address runs on that host, and serves it under policy Local", () => {
  const { topology: read_ } = read(`
hosts: [{ name: alpha, address: 10.0.0.1 }, { name: beta, address: 10.0.0.2 }]
services:
  - name: web
    clusterIP: 10.50.0.1
    externalTrafficPolicy: Local
    internalTrafficPolicy: Local
    ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }]
    endpoints: ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"]
`);
  expect(read_.services[0]?.ports[0]?.endpoints.map(({ host }) => host)).toEqual(["alpha", "beta", undefined]);
  const [plan] = planHost(read_, { host: "alpha" }).ports;
  expect(plan?.localEndpoints.map(({ address }) => address)).toEqual(["10.0.0.1"]);
});
