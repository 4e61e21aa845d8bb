import { parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { ip } from "../testing/loopback-plan.ts";
import { withLocalhostIpv6 } from "./localhost-node-ports.ts";

function nodePortAddresses({ localhost, hasLoopback }: { localhost: boolean; hasLoopback: boolean }) {
  const text = JSON.stringify({
    hosts: [{ name: "a", addresses: ["192.0.2.1", "2001:db8::1"] }],
    node: { localhostNodePorts: localhost },
    services: [
      {
        name: "four",
        clusterIP: "10.96.0.1",
        ports: [{ port: 80, nodePort: 30_080 }],
        endpoints: ["192.0.2.9:80"],
      },
      {
        name: "six",
        clusterIP: "fd00:96::1",
        ports: [{ port: 80, nodePort: 30_081 }],
        endpoints: ["[2001:db8::9]:80"],
      },
      {
        name: "both",
        clusterIPs: ["10.96.0.3", "fd00:96::3"],
        ports: [{ port: 80, nodePort: 30_082 }],
        endpoints: ["192.0.2.9:80", "[2001:db8::9]:80"],
      },
    ],
  });
  const { topology } = parseTopology(new TextEncoder().encode(text), { file: "t.yaml" });
  const device = { device: "lo", prefixLength: 128, isLoopback: true };
  const addresses = hasLoopback ? [{ ...device, address: ip("::1") }] : [];
  const plan = withLocalhostIpv6(planHost(topology, { host: "a" }), { readAddresses: () => ({ addresses }) });
  return plan.ports.map(({ service, family, frontends }) => [
    `${service.name}/${family}`,
    frontends.filter(({ kind }) => kind === "nodePort").flatMap(({ addresses: of }) => of),
  ]);
}

test("NodePorts on localhost are on ::1, too, once each service", () => {
  expect(Object.fromEntries(nodePortAddresses({ localhost: true, hasLoopback: true }))).toEqual({
    "four/4": ["192.0.2.1", "127.0.0.1", "::1"],
    "six/6": ["2001:db8::1", "::1"],
    "both/4": ["192.0.2.1", "127.0.0.1"],
    "both/6": ["2001:db8::1", "::1"],
  });
});

test.for([
  { localhost: true, hasLoopback: false },
  { localhost: false, hasLoopback: true },
])("not with %o", (options) => {
  expect(nodePortAddresses(options).flat(2)).not.toContain("::1");
});
