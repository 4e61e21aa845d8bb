import { parseSave } from "@svcproxy/rules";
import { expect, test } from "vitest";
import { foreignRuleTakes } from "./foreign-rule-takes.ts";
import { classesBehind } from "./packet-class.ts";
import { planOf, rulesOf } from "./testing/backend-contract.ts";

const [desired] = rulesOf(planOf({}));

/** The plan waits for tcp 10.100.0.1:80, udp 10.100.0.2:53 and the host's own tcp port 30080; its endpoints are 10.5.75.2 and .3, port 3000. */
function taken(chain: string, rule: string, chains = ""): boolean {
  if (desired === undefined) throw new Error("no plan");
  const hook = desired.hooks.find((candidate) => candidate.chain === chain && candidate.placement === "last");
  if (hook === undefined) throw new Error(`no hook in ${chain}`);
  const names = [...chains.matchAll(/^-A (\S+)/gm)].map(([, name]) => `:${name} - [0:0]\n`);
  const text = `*nat\n:${chain} ACCEPT [0:0]\n${[...new Set(names)].join("")}-A ${chain} ${rule}\n${chains}COMMIT\n`;
  const table = parseSave(text, { family: 4 }).tables[0];
  const all = new Map(table?.chains.map((found) => [found.name, found]));
  const foreign = all.get(chain)?.rules[0];
  if (foreign === undefined) throw new Error("no rule");
  return foreignRuleTakes(foreign, classesBehind(hook, desired), { chains: all, builtIn: chain });
}

test.for([
  { rule: "-j ACCEPT", takes: true },
  { rule: "-j RETURN", takes: true },
  { rule: "-p tcp -m tcp --dport 80 -j REDIRECT --to-ports 1", takes: true },
  { rule: "-p tcp -m tcp --dport 70:90 -j DNAT --to-destination 10.1.1.1", takes: true },
  { rule: "-d 10.100.0.0/16 -j ACCEPT", takes: true },
  { rule: "-p udp -m multiport --dports 1,53 -j ACCEPT", takes: true },
  { rule: "-m addrtype --dst-type LOCAL -p tcp -m tcp --dport 30080 -j ACCEPT", takes: true },
  { rule: "-s 10.5.75.9/32 -j ACCEPT", takes: true },
  { rule: "-j NETMAP --to 10.0.0.0/8", takes: true },
  { rule: "-p tcp -m tcp --dport 81 -j REDIRECT --to-ports 1", takes: false },
  { rule: "-p udp -m udp --dport 80 -j ACCEPT", takes: false },
  { rule: "-d 10.100.0.1/32 -p tcp -m tcp --dport 53 -j ACCEPT", takes: false },
  { rule: "-d 10.100.0.1/32 -p udp -m udp --dport 80 -j ACCEPT", takes: false },
  { rule: "-p icmp -j ACCEPT", takes: false },
  { rule: "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", takes: false },
  { rule: "-m addrtype --dst-type LOCAL -p tcp -m tcp --dport 80 -j ACCEPT", takes: false },
  { rule: "-p tcp -m tcp --dport 80 -j LOG", takes: false },
  { rule: "-p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1/0x1", takes: false },
  { rule: "-p tcp -m tcp --dport 80", takes: false },
])("before KUBE-SERVICES in PREROUTING, $rule: $takes", ({ rule, takes }) => {
  expect(taken("PREROUTING", rule)).toBe(takes);
});

test.for([
  { name: "a chain with a rule for our VIP", chains: "-A T -d 10.100.0.1/32 -j ACCEPT\n", takes: true },
  { name: "a chain of a chain", chains: "-A T -j U\n-A U -p udp -j ACCEPT\n", takes: true },
  {
    name: "Docker's chain",
    chains:
      "-A T -i docker0 -j RETURN\n-A T ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n",
    takes: false,
  },
  { name: "a chain that only comes back", chains: "-A T -j RETURN\n", takes: false },
  { name: "chains that call each other", chains: "-A T -j U\n-A U -j T\n", takes: false },
])("a jump to $name: $takes", ({ chains, takes }) => {
  expect(taken("OUTPUT", "-j T", chains)).toBe(takes);
});

test("what goes to a chain from a built-in one never comes back", () => {
  expect(taken("OUTPUT", "-g T", "-A T -j RETURN\n")).toBe(true);
});

test.for([
  { rule: "-s 10.5.75.0/24 -d 10.5.75.0/24 -j RETURN", takes: true },
  { rule: "-d 10.5.75.2/32 -j SNAT --to-source 10.0.0.1", takes: true },
  { rule: "-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE", takes: false },
  { rule: "-d 10.6.0.0/16 -j ACCEPT", takes: false },
])("before KUBE-POSTROUTING, $rule: $takes", ({ rule, takes }) => {
  expect(taken("POSTROUTING", rule)).toBe(takes);
});
