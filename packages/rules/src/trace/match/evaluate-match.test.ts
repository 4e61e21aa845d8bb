import { type IpAddress, parseIpAddress } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import type { HostState } from "../../host/host-state.ts";
import { DEFAULT_POLICY_RULES, localRoutes } from "../../host/host-state-of.ts";
import { parseIpSets } from "../../host/ip-set.ts";
import { createRouter } from "../../host/routing.ts";
import { parseSave } from "../../rule-sets/parse-save.ts";
import { formatFraction } from "../packet/fraction.ts";
import type { ConnectionView, PacketView } from "../packet/packet-view.ts";
import { evaluateRule } from "./evaluate-rule.ts";

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(`no address: ${text}`);
  return parsed;
}

const interfaces = [
  { name: "eth0", isLoopback: false, addresses: [{ address: address("192.168.1.6"), prefixLength: 24 }] },
];
const state: HostState = {
  interfaces,
  routes: localRoutes(interfaces),
  policyRules: DEFAULT_POLICY_RULES,
  sysctls: {},
  ipSets: parseIpSets(
    "create web hash:ip,port family inet\nadd web 10.1.1.1,tcp:80\nadd web 10.100.100.1,sctp:7070\ncreate ports bitmap:port range 0-65535\nadd ports 7070\n",
    { file: "sets" },
  ),
  recentLists: { seen: [address("10.5.75.2")] },
};
const host = { state, router: createRouter(state) };

const tuple = {
  source: address("10.5.75.2"),
  destination: address("10.100.100.1"),
  sourcePorts: { from: 32768, to: 60999 },
  destinationPorts: { from: 7070, to: 7070 },
};
const connection: ConnectionView = {
  state: "NEW",
  protocol: "tcp",
  direction: "ORIGINAL",
  isConfirmed: false,
  mark: 0x10,
  labels: new Set(),
  original: tuple,
  reply: { source: address("10.5.75.3"), destination: address("10.5.75.2") },
  sourceTranslated: false,
  destinationTranslated: true,
};
const packet: PacketView = {
  ...tuple,
  family: 4,
  protocol: "tcp",
  tcpFlags: ["SYN"],
  mark: 0x4001,
  inInterface: "cni0",
  isLocal: false,
  frame: "unicast",
  connection,
  recent: undefined,
};

function ask(words: string, changed: Partial<PacketView> = {}): string {
  return askOf(words, { ...packet, ...changed });
}

function askOf(words: string, asked: PacketView): string {
  const { tables } = parseSave(`*filter\n-A FORWARD ${words} -j ACCEPT\nCOMMIT\n`, { family: 4 });
  const rule = tables[0]?.chains.find(({ name }) => name === "FORWARD")?.rules[0];
  if (rule === undefined) throw new TypeError("no rule");
  const result = evaluateRule(rule, asked, host);
  return result.outcome === "chance" ? formatFraction(result.draw.chance) : result.outcome;
}

describe("a match of a new TCP packet from a pod", () => {
  test.for([
    ["-s 10.5.75.0/24", "yes"],
    ["! -s 10.5.75.2", "no"],
    ["-d 10.100.100.1", "yes"],
    ["-d 10.100.100.2", "no"],
    ["-i cni+", "yes"],
    ["! -i eth0", "yes"],
    ["-o eth0", "no"],
    ["-p tcp", "yes"],
    ["-p 6", "yes"],
    ["! -p tcp", "no"],
    ["-f", "no"],
    ["-p tcp -m tcp --dport 7070", "yes"],
    ["-p tcp -m tcp ! --dport 7000:7100", "no"],
    ["-p tcp -m tcp --sport 1024:65535", "yes"],
    ["-p tcp -m tcp --sport 80", "no"],
    ["-p tcp -m tcp --sport 60999:32768", "no"],
    ["-p tcp -m tcp ! --sport 60999:32768", "yes"],
    ["-m iprange --src-range 10.5.75.9-10.5.75.1", "no"],
    ["-m iprange ! --src-range 10.5.75.9-10.5.75.1", "yes"],
    ["-p tcp -m tcp --sport 40000", "unknown"],
    ["-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "yes"],
    ["-p tcp -m tcp --tcp-flags ACK ACK", "no"],
    ["-p tcp -m tcp --tcp-option 2", "unknown"],
    ["-p udp -m udp --dport 7070", "no"],
    ["-p icmp -m icmp --icmp-type 8", "no"],
    ["-p tcp -m multiport --dports 80,7070", "yes"],
    ["-p tcp -m multiport ! --dports 80,7070", "no"],
    ["-p tcp -m multiport --sports 32768:50000,50001:60999", "yes"],
    ["-m addrtype --dst-type LOCAL", "no"],
    ["-m addrtype ! --dst-type LOCAL", "yes"],
    ["-m mark --mark 0x4000/0x4000", "yes"],
    ["-m mark --mark 0x4000", "no"],
    ["-m connmark --mark 0x10", "yes"],
    ["-m connmark ! --mark 0x10/0x10", "no"],
    ["-m conntrack --ctstate NEW,RELATED", "yes"],
    ["-m conntrack ! --ctstate NEW", "no"],
    ["-m conntrack --ctstate DNAT", "yes"],
    ["-m conntrack --ctstate SNAT", "no"],
    ["-m conntrack --ctorigdst 10.100.100.1 --ctorigdstport 7070", "yes"],
    ["-m conntrack --ctreplsrc 10.5.75.3", "yes"],
    ["-m conntrack --ctdir REPLY", "no"],
    ["-m conntrack --ctstatus CONFIRMED", "no"],
    ["-m conntrack --ctexpire 10", "unknown"],
    ["-m state --state ESTABLISHED", "no"],
    ["-m statistic --mode random --probability 0.5", "1/2"],
    ["-m statistic --mode random ! --probability 0.25", "3/4"],
    ["-m statistic --mode nth --every 3 --packet 0", "unknown"],
    ["-m recent --rcheck --name seen --rsource", "yes"],
    ["-m recent --rcheck --seconds 60 --name seen --rsource", "unknown"],
    ["-m recent --rcheck --name other --rsource", "no"],
    ["-m recent --set --name other --rsource -m recent --rcheck --seconds 60 --name other --rsource", "yes"],
    [
      "-m recent --set --name other --rsource -m recent --update --seconds 30 --hitcount 6 --name other --rsource",
      "no",
    ],
    ["-m comment --comment anything", "yes"],
    ["-m set --match-set web dst,dst", "no"],
    ["-m set ! --match-set web dst,dst", "yes"],
    ["-m set --match-set nobody-told src", "unknown"],
    ["-m physdev --physdev-in veth1", "no"],
    ["-m physdev ! --physdev-is-bridged", "yes"],
    ["-m limit --limit 3/min", "unknown"],
    ["-m owner --uid-owner 0", "no"],
    ["-m owner ! --uid-owner 0", "yes"],
    ["-m iprange --src-range 10.5.75.1-10.5.75.9", "yes"],
    ["-m iprange ! --dst-range 10.100.100.1-10.100.100.1", "no"],
    ["-m socket --transparent", "unknown"],
    ["-m mac --mac-source 02:00:00:00:00:01", "unknown"],
    ["-m length --length 40", "unknown"],
    ["-m length --length 0:65535", "unknown"],
    ["-m ttl --ttl-gt 0", "yes"],
    ["-m ttl --ttl-eq 64", "unknown"],
    ["-m nobody --knows this", "unknown"],
    // Whatever the unknown one says, the rule does not match.
    ["-m nobody --knows this -m mark --mark 0x1/0xff -m mark --mark 0x2/0xff", "no"],
  ] as const)("%s: %s", ([words, expected]) => {
    expect(ask(words)).toBe(expected);
  });

  test("sees no connection before conntrack does", () => {
    const { connection: _, ...early } = packet;
    expect(askOf("-m state --state INVALID", early)).toBe("yes");
    expect(askOf("-m connmark ! --mark 0x10", early)).toBe("no");
  });
});

test.for([
  ["-m owner --uid-owner 0", "unknown"],
  ["-m owner --socket-exists", "yes"],
  ["-m mac --mac-source 02:00:00:00:00:01", "no"],
] as const)("a match of what the host itself sends: %s: %s", ([words, expected]) => {
  expect(ask(words, { isLocal: true })).toBe(expected);
});

test.for([
  ["-m physdev --physdev-in veth1", "yes"],
  ["-m physdev --physdev-in veth2", "no"],
  ["-m physdev --physdev-is-bridged", "yes"],
  ["-m physdev --physdev-out veth2", "unknown"],
] as const)("a match of what goes from port to port of a bridge: %s: %s", ([words, expected]) => {
  expect(ask(words, { bridge: { isBridged: true, inPort: "veth1" } })).toBe(expected);
});

// As the kernel counted packets of each protocol to the port.
test.for([
  ["tcp", "ports dst", "yes"],
  ["udp", "ports dst", "yes"],
  ["sctp", "ports dst", "no"],
  ["udplite", "ports dst", "no"],
  ["sctp", "web dst,dst", "yes"],
  ["udp", "web dst,dst", "no"],
] as const)("a set asked for the port of %s: %s: %s", ([protocol, set, expected]) => {
  expect(ask(`-m set --match-set ${set}`, { protocol })).toBe(expected);
});
