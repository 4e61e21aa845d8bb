import { readFileSync } from "node:fs";
import { type NftTable, parseNft } from "@svcproxy/rules";
import { parseTopology, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { recordedCase, recordedCases } from "../testing/recorded-kube-proxy.ts";
import { formatKubeProxyTable, kubeProxyTable } from "./kube-proxy-table.ts";

/** A table's contents by name, in an order of their own: elements of a set have none. */
function contents({ chains, sets }: NftTable) {
  return {
    ...Object.fromEntries(
      chains.map(({ name, base, rules }) => [name, { base, rules: rules.map(({ statements }) => statements) }]),
    ),
    ...Object.fromEntries(
      [...sets].map(([name, set]) => [
        name,
        { ...set, elements: set.elements.map((one) => JSON.stringify(one)).sort() },
      ]),
    ),
  };
}

describe.for(recordedCases())("of %s", (name) => {
  const { plan, listing } = recordedCase(name);
  const recorded = parseNft(readFileSync(listing, "utf8"), { file: listing }).tables;

  test.for([4, 6] as const)("the table is the one that a real kube-proxy 1.37.2 wrote, in IPv%s", (family) => {
    const real = recorded.find(
      (table) => table.family === (family === 4 ? "ip" : "ip6") && table.name === "kube-proxy",
    );
    if (real === undefined) throw new TypeError(`${listing} has no such table`);
    expect(contents(kubeProxyTable(plan, family))).toEqual(contents(real));
  });
});

function table(services: string, node = "{}"): string {
  const text = `
hosts:
  - { name: one, addresses: [192.0.2.1, "2001:db8::1"], podCIDR: 10.1.0.0/16, pods: [{ name: here, address: "10.1.0.2:80" }] }
  - { name: two, addresses: [192.0.2.2, "2001:db8::2"], podCIDR: 10.2.0.0/16, pods: [{ name: there, address: "10.2.0.2:80" }] }
node: ${node}
services:
${services}`;
  return formatKubeProxyTable(planHost(parseTopology(Buffer.from(text), { file: "t" }).topology, { host: "one" }), 4);
}

const WEB = "  - { name: web, clusterIP: 10.96.0.1, ports: [{ port: 80, nodePort: 30080 }], endpoints: [here] }";

test.for([
  ["masqueradeAll", "{ masqueradeAll: true }", "\t\tip daddr @cluster-ips meta mark set"],
  [
    "a bridge that tells pods",
    "{ detectLocalMode: BridgeInterface, detectLocal: { bridgeInterface: cni0 } }",
    '@cluster-ips iifname != "cni0" ',
  ],
  [
    "a prefix that tells pods",
    "{ detectLocalMode: InterfaceNamePrefix, detectLocal: { interfaceNamePrefix: veth } }",
    'iifname != "veth*" ',
  ],
  ["another mark", "{ masqueradeBit: 3 }", "meta mark & 0x00000008 != 0x00000000"],
  ["NodePorts everywhere", "{}", "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto"],
  [
    "two service ranges",
    "{ serviceCIDRs: [10.96.0.0/16, 10.97.0.0/16] }",
    "ip daddr { 10.96.0.0/16, 10.97.0.0/16 } drop",
  ],
] as const)("%s is in it", ([, node, text]) => {
  expect(table(WEB, node)).toContain(text);
});

test("source ranges guard a load-balancer IP that nobody serves, too, and let in the node where they hold it", () => {
  const guarded = (range: string) =>
    table(
      `  - { name: web, clusterIP: 10.96.0.1, loadBalancerIPs: [203.0.113.1], loadBalancerSourceRanges: [${range}], ports: [{ port: 80 }] }`,
    );
  expect(guarded("198.51.100.0/24")).toContain("ip saddr != 198.51.100.0/24 drop");
  expect(guarded("198.51.100.0/24")).toMatch(/203\.0\.113\.1 \. tcp \. 80 : goto firewall-/);
  expect(guarded("192.0.2.0/24")).toContain("ip saddr != { 192.0.2.0/24, 203.0.113.1 } drop");
});

test("names that nft does not take, or are too long, are told apart by their hash", () => {
  const odd = table(`  - { name: 'we"b x', clusterIP: 10.96.0.1, ports: [{ port: 80 }], endpoints: [here] }
  - { name: 'we b"x', clusterIP: 10.96.0.2, ports: [{ port: 80 }], endpoints: [here] }
  - { name: ${"a".repeat(300)}, clusterIP: 10.96.0.3, ports: [{ port: 80 }, { port: 81 }], endpoints: [here] }`);
  const chains = [...odd.matchAll(/chain (service-[A-Z2-7]{8}-.*) \{/g)].map(([, name]) => name);
  expect(new Set(chains).size).toBe(4);
  expect(chains.filter((name) => name?.endsWith("...") && name.length === 248)).toHaveLength(2);
  expect(parseNft(odd, { file: "t" }).tables.flatMap(({ unread }) => unread)).toEqual([]);
});
