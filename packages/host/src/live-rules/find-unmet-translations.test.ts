import { type HostRules, hostStateOf, parseSave } from "@svcproxy/rules";
import { type Family, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { findUnmetTranslations } from "./find-unmet-translations.ts";

const { topology } = parseTopology(
  Buffer.from(`
hosts: [{ name: a, address: 10.0.0.1 }, { name: b, address: 10.0.0.2 }]
services:
  - { name: web, clusterIP: 10.50.0.1, ports: [{ port: 80, nodePort: 30080 }], endpoints: ["10.0.0.1:8088"] }
  - { name: far, clusterIP: 10.50.0.2, ports: [{ port: 80 }], endpoints: ["10.0.0.2:8088"] }
`),
  { file: "t.yaml" },
);

function problemsWith(nat: string) {
  const rules = (family: Family): HostRules => ({
    family,
    iptables: [
      {
        variant: "nft",
        rules: parseSave(
          `*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\n${nat}COMMIT\n`,
          { family },
        ),
      },
    ],
    nft: { tables: [] },
    unread: [],
  });
  const plan = planHost(topology, { host: "a" });
  return findUnmetTranslations({ plan, hostState: hostStateOf(topology, { host: "a" }), rules });
}

const PUBLISHED = "-p tcp -m tcp --dport 8088 -j DNAT --to-destination 10.0.0.1:8080\n";

test.for([
  { name: "for others", nat: `-A PREROUTING ${PUBLISHED}`, rule: "1 of nat PREROUTING" },
  { name: "for the host itself", nat: `-A OUTPUT -j ACCEPT -p udp\n-A OUTPUT ${PUBLISHED}`, rule: "2 of nat OUTPUT" },
])("an endpoint on this host that a port published $name serves is named", ({ nat, rule }) => {
  expect(problemsWith(nat)).toEqual([
    {
      code: "FOREIGN_DNAT_UNMET",
      severity: "warning",
      subject: "service default/web",
      text: expect.stringContaining(
        `Endpoint 10.0.0.1:8088 of default/web is translated to 10.0.0.1:8080 by rule ${rule}`,
      ),
      hint: "Name 10.0.0.1:8080 as the endpoint",
    },
  ]);
});

test.for([
  { name: "no rule", nat: "" },
  {
    name: "a rule for another port",
    nat: "-A PREROUTING -p tcp -m tcp --dport 8089 -j DNAT --to-destination 10.0.0.1:80\n",
  },
  { name: "a rule for another protocol", nat: `-A PREROUTING ${PUBLISHED.replaceAll("tcp", "udp")}` },
  { name: "one that translates to itself", nat: `-A PREROUTING ${PUBLISHED.replace("8080", "8088")}` },
  // It is not asked of what is dialled at the endpoint.
  {
    name: "rules of ours",
    nat: "-A PREROUTING -j KUBE-SERVICES\n-A KUBE-SERVICES -d 10.50.0.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8088\n",
  },
])("with $name nothing is said", ({ nat }) => {
  expect(problemsWith(nat)).toEqual([]);
});
