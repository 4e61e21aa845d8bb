import { expect, test } from "vitest";
import { parseTopology } from "../file/parse-topology.ts";
import { planHost } from "./plan-host.ts";

const outsideOf = (node: string) => {
  const { topology } = parseTopology(
    new TextEncoder().encode(`
hosts:
  - name: h1
    addresses: [192.168.0.1, "fd00::1"]
    podCIDRs: [10.1.0.0/24, "fd01::/64"]
    pods: [{ name: web, addresses: ["10.1.0.2:80", "[fd01::2]:80"] }]
services: [{ name: web, clusterIPs: [10.96.0.1, "fd96::1"], ports: [{ port: 80 }], endpoints: [web] }]
node: ${node}
`),
    { file: "web.yaml" },
  );
  return planHost(topology, { host: "h1" }).ports.map(({ family, frontends }) => {
    const outside = frontends[0]?.clients.outside;
    return [family, outside?.kind === "forward" ? outside.masquerade : outside?.kind];
  });
};

test.for([
  ["nothing is asked for, and pods are those of the host's blocks", "{}", "not-a-pod", "not-a-pod"],
  ["pods are those of the host's blocks", "{ detectLocalMode: NodeCIDR }", "not-a-pod", "not-a-pod"],
  ["pods are those of a block of one family", "{ clusterCIDR: 10.0.0.0/8 }", "not-a-pod", "hairpin"],
  [
    "pods are behind a bridge",
    "{ detectLocalMode: BridgeInterface, detectLocal: { bridgeInterface: cni0 } }",
    "not-a-pod",
    "not-a-pod",
  ],
  ["everybody is rewritten", "{ detectLocalMode: NodeCIDR, masqueradeAll: true }", "masquerade-all", "masquerade-all"],
] as const)("a ClusterIP's client from outside, where %s", ([, node, ipv4, ipv6]) => {
  expect(outsideOf(node)).toEqual([
    [4, ipv4],
    [6, ipv6],
  ]);
});
