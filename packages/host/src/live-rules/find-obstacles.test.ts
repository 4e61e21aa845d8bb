import { type HostRules, hostStateOf, parseSave, readRules } from "@svcproxy/rules";
import { type Family, type HostPlan, parseTopology, planHost, type Topology } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { findObstacles } from "./find-obstacles.ts";

function topology(): Topology {
  const text = `
hosts:
  - { name: a, address: 10.0.0.1, podCIDR: 10.5.75.0/24, pods: [{ name: p, address: "10.5.75.2:8080" }] }
  - { name: b, address: 10.0.0.2, podCIDR: 10.5.88.0/24, pods: [{ name: q, address: "10.5.88.2:8080" }] }
services:
  - { name: web, clusterIP: 10.50.0.1, ports: [{ port: 80, nodePort: 30080 }], endpoints: [q] }
  - { name: other, clusterIP: 10.50.0.2, ports: [{ port: 80, nodePort: 30081 }], endpoints: [q] }
`;
  return parseTopology(new TextEncoder().encode(text), { file: "t.yaml" }).topology;
}

/** Rules that serve the part as its ports say, and `filter` lines beside them. */
function rulesOf(filter: string, { prerouting = "", nft = "" } = {}) {
  const parts: HostPlan[] = [];
  const rules = (part: HostPlan, family: Family): HostRules => {
    parts.push(part);
    const nat = part.ports
      .flatMap(({ frontends }) => frontends)
      .flatMap(({ addresses, port }) =>
        addresses.map(
          (to) => `-A KUBE-SERVICES -d ${to}/32 -p tcp -m tcp --dport ${port} -j DNAT --to-destination 10.5.88.2:8080`,
        ),
      );
    const text = `*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
${prerouting}-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j MASQUERADE
${nat.join("\n")}
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
${filter}COMMIT
`;
    const listed = nft === "" ? [] : readRules([{ file: "nft", text: nft }]).rules(family).nft.tables;
    return {
      family,
      iptables: [{ variant: "nft", rules: parseSave(text, { family }) }],
      nft: { tables: listed },
      unread: [],
    };
  };
  return { rules, parts };
}

function find(filter: string, options: { prerouting?: string; nft?: string; hint?: string } = {}) {
  const { hint, ...others } = options;
  const { rules, parts } = rulesOf(filter, others);
  const plan = planHost(topology(), { host: "a" });
  const hostState = hostStateOf(topology(), { host: "a" });
  return { problems: findObstacles({ plan, hostState, rules, forwardHint: () => hint }), parts };
}

test("where nothing is in the way, nothing is said, and one service of each kind is looked at", () => {
  const { problems, parts } = find("");
  expect(problems).toEqual([]);
  expect(parts.map(({ ports }) => ports.map(({ service }) => service.name))).toEqual([["web"]]);
});

test("a policy that drops is one problem, with whom it concerns and the exception that helps", () => {
  const { problems } = find(":FORWARD DROP [0:0]\n", { hint: "do without" });
  expect(problems).toEqual([
    {
      code: "FOREIGN_RULE_DROPS",
      severity: "warning",
      subject: "filter FORWARD (IPv4)",
      text: "These connections are dropped (the policy of filter FORWARD is DROP): from a pod to the ClusterIP of default/web (10.50.0.1:80), from a pod to the NodePort of default/web (10.0.0.1:30080), from outside to the NodePort of default/web (10.0.0.1:30080)",
      hint: "let translated connections through: iptables-nft -I FORWARD 1 -m conntrack --ctstate DNAT -j ACCEPT; or do without",
    },
  ]);
});

test("the exception that is named lets them through", () => {
  expect(find(":FORWARD DROP [0:0]\n-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT\n").problems).toEqual([]);
});

test("a rule that refuses is named by its place", () => {
  const { problems } = find("-A OUTPUT -d 10.5.88.0/24 -j REJECT\n");
  expect(problems).toMatchObject([
    {
      subject: "filter OUTPUT rule 1 (IPv4)",
      text: expect.stringMatching(/refused.*from this host to the ClusterIP/),
      hint: "Put an exception for the service before it (filter OUTPUT rule 1)",
    },
  ]);
});

test("another program's translation that is asked first is named", () => {
  const { problems } = find("", {
    prerouting: "-A PREROUTING -p tcp -m tcp --dport 30080 -j DNAT --to-destination 10.9.9.9:80\n",
  });
  expect(problems).toMatchObject([
    { code: "FOREIGN_DNAT_FIRST", text: expect.stringContaining("rule 1 of nat PREROUTING") },
  ]);
});

test("what cannot be decided is not told", () => {
  expect(find("-A FORWARD -m nonsense -j DROP\n").problems).toEqual([]);
});
