import { exampleTopology, type HostPlan, InputError, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { type PrintOptions, printRules, sysctlNeed } from "./print-rules.ts";

const DUAL = `
hosts:
  - name: 'edge'
    addresses: [192.0.2.10, "2001:db8::10"]
    podCIDRs: [10.20.0.0/24, "fd20::/64"]
    pods: [{ name: web, addresses: ["10.20.0.2:80", "[fd20::2]:80"] }]
services:
  - { name: web, clusterIPs: [10.96.0.1, "fd96::1"], ports: [{ port: 80 }], endpoints: [web] }
`;

const document = planHost(exampleTopology().topology, { host: "cloudos1" });
const dual = planOf(DUAL);

function planOf(text: string): HostPlan {
  const { topology } = parseTopology(Buffer.from(text), { file: "test" });
  return planHost(topology, { host: "edge" });
}

function print(plan: HostPlan, options: Partial<PrintOptions> = {}): string {
  return [
    ...printRules(plan, {
      dialect: "document",
      format: "commands",
      dispatch: "auto",
      families: undefined,
      ...options,
    }),
  ].join("");
}

test("commands are a script that stops at the first failure", () => {
  expect(print(document)).toMatch(
    /^#!\/bin\/sh -e\n# IPv4 rules of host "cloudos1" in the document dialect\n\n# New chains\n/,
  );
});

test("both families go into one script, each with its own program", () => {
  const lines = print(dual).split("\n");
  expect(lines.filter((line) => line.startsWith("iptables "))).not.toEqual([]);
  expect(lines.filter((line) => line.startsWith("ip6tables "))).not.toEqual([]);
  expect(print(dual, { families: [6] })).not.toMatch(/^iptables/m);
});

test("equal input gives equal bytes", () => {
  expect(print(planOf(DUAL))).toBe(print(dual));
});

test("restore text is one family's", () => {
  expect(print(document, { format: "restore" })).toMatch(/^\*nat\n:KUBE-SERVICES - \[0:0\]\n/);
  expect(() => print(dual, { format: "restore" })).toThrow(InputError);
  expect(print(dual, { format: "restore", families: [6] })).toContain("-d fd96::1 ");
});

test("JSON is the rule set, a list of two where both families are in play", () => {
  expect(JSON.parse(print(document, { format: "json" }))).toMatchObject({ family: 4, tables: [{ name: "nat" }] });
  expect(JSON.parse(print(dual, { format: "json" }))).toMatchObject([{ family: 4 }, { family: 6 }]);
});

test("a host without services gets the rules that are always there, for IPv4", () => {
  const bare = planOf("hosts: [{ name: edge, address: 192.0.2.10 }]\nservices: []\n");
  expect(print(bare)).toContain("iptables -t nat -N KUBE-SERVICES\n");
});

test("route_localnet comes with the rule that guards it, and never before", () => {
  const localhost = planOf(`${DUAL}node: { localhostNodePorts: true }\n`);
  const script = print(localhost, { families: [4] });
  const guard = script.indexOf("-d 127.0.0.0/8 ! -s 127.0.0.0/8");
  expect(guard).toBeGreaterThan(0);
  expect(script.indexOf("sysctl -q -w net.ipv4.conf.all.route_localnet=1")).toBeGreaterThan(guard);
  expect(print(dual)).not.toContain("sysctl");
  expect(sysctlNeed(localhost)).toContain("route_localnet");
  expect(sysctlNeed(dual)).toBeUndefined();
});

test("route_localnet is left alone where nodePortAddresses leave loopback out", () => {
  const node = "node: { localhostNodePorts: true, nodePortAddresses: [192.0.2.0/24] }";
  const elsewhere = planOf(`${DUAL}${node}\n`);
  expect(print(elsewhere, { families: [4] })).not.toMatch(/sysctl|KUBE-FIREWALL/);
  expect(sysctlNeed(elsewhere)).toBeUndefined();
});

test("a host's name cannot leave its comment", () => {
  const { topology } = exampleTopology();
  const [host] = topology.hosts;
  if (host === undefined) throw new TypeError("the example has no host");
  const name = "x\nreboot";
  const plan = planHost({ ...topology, hosts: [{ ...host, name }] }, { host: name });
  expect(
    print(plan)
      .split("\n")
      .filter((line) => line.startsWith("reboot")),
  ).toEqual([]);
});
