import { describe, expect, test } from "vitest";
import { hostRulesOf } from "../../hooks/host-rules.ts";
import type { Rule, RuleSet } from "../../rule-set.ts";
import { applyCommands } from "../../rule-sets/apply-commands.ts";
import { parseCommands } from "../../rule-sets/parse-commands.ts";
import { readRules } from "../../rule-sets/read-rules.ts";
import { randomRuleSet } from "../../testing/differential/random-rules.ts";
import { randomSource } from "../../testing/differential/random-source.ts";
import { documentFixture, richFixture } from "../../testing/prove-fixtures.ts";
import { worldHostState } from "../../testing/prover-agrees.ts";
import { describePacket } from "../report/format-proof.ts";
import { sameRules } from "./same-rules.ts";

const { hostState, rules } = documentFixture();

function rulesOf(script: string): RuleSet {
  return applyCommands({ family: 4, tables: [] }, parseCommands(script));
}

function verdict(a: string, b: string): string {
  const result = sameRules({ a: rulesOf(a), b: rulesOf(b), hostState });
  return result.kind === "different" ? describePacket(result.packet) : result.kind;
}

describe("these treat all packets alike", () => {
  test.for([
    [
      "iptables -A FORWARD -s 10.0.0.0/8 -j DROP",
      "iptables -A FORWARD -s 10.0.0.0/9 -j DROP\niptables -A FORWARD -s 10.128.0.0/9 -j DROP",
    ],
    ["iptables -A INPUT -p tcp --dport 22 -j ACCEPT", ""],
    [
      "iptables -t mangle -A FORWARD -m mark ! --mark 0x4000/0x4000 -j ACCEPT\niptables -t mangle -A FORWARD -j MARK --set-xmark 0x4000/0x0",
      "iptables -t mangle -A FORWARD -m mark ! --mark 0x4000/0x4000 -j ACCEPT\niptables -t mangle -A FORWARD -j MARK --set-xmark 0x0/0x4000",
    ],
    [
      "iptables -A INPUT -p tcp --dport 22 -j DROP",
      "iptables -N A\niptables -A INPUT -j A\niptables -A A -p udp -j RETURN\niptables -A A -p tcp -m multiport --dports 22 -j DROP",
    ],
    ["iptables -P FORWARD DROP", "iptables -A FORWARD -j DROP"],
    [
      "iptables -t nat -A OUTPUT -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.0.1\niptables -t nat -A OUTPUT -j DNAT --to-destination 10.0.0.2",
      "iptables -t nat -A OUTPUT -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.0.2\niptables -t nat -A OUTPUT -j DNAT --to-destination 10.0.0.1",
    ],
    [
      "iptables -t mangle -A FORWARD -j MARK --or-mark 1\niptables -t mangle -A FORWARD -j MARK --or-mark 2",
      "iptables -t mangle -A FORWARD -j MARK --or-mark 3",
    ],
    ["iptables -A INPUT -m limit --limit 5/min -j ACCEPT\niptables -A INPUT -j ACCEPT", "iptables -A INPUT -j ACCEPT"],
    [
      "iptables -A FORWARD -m string --string x --algo bm -j DROP",
      "iptables -A FORWARD -m string --string x --algo bm -j DROP",
    ],
  ] as const)("%j and %j", ([a, b]) => {
    expect(verdict(a, b)).toBe("same");
  });
});

describe("these do not, and a packet shows it", () => {
  test.for([
    ["iptables -A FORWARD -s 10.5.88.2 -j DROP", "", "10.5.88.2 → "],
    ["iptables -A INPUT -p tcp --dport 22 -j DROP", "iptables -A INPUT -p tcp --dport 23 -j DROP", ":22/tcp"],
    ["iptables -A FORWARD -j DROP", "iptables -A FORWARD -j REJECT", " → "],
    ["iptables -t mangle -A FORWARD -m mark --mark 5 -j DROP", "", "mark 0x5"],
    ["iptables -A INPUT -m conntrack --ctstate INVALID -j DROP", "", "INVALID"],
    [
      "iptables -t nat -A OUTPUT -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.0.1",
      "iptables -t nat -A OUTPUT -m statistic --mode random --probability 0.4 -j DNAT --to-destination 10.0.0.1",
      " → ",
    ],
  ] as const)("%j and %j", ([a, b, packet]) => {
    expect(verdict(a, b)).toContain(packet);
  });
});

test("what nobody can answer leaves it open", () => {
  expect(verdict("iptables -A FORWARD -m limit --limit 5/min -j DROP", "")).toBe("undecided");
});

test("the document's rules are not those without the last one", () => {
  const without = applyCommands(rules, parseCommands("iptables -t nat -D POSTROUTING -s 192.168.1.6 -j MASQUERADE"));
  const result = sameRules({ a: rules, b: without, hostState });
  expect(result.kind === "different" && result.packet.from).toBe("192.168.1.6");
});

test("any rules are the same as themselves, however their chains are ordered and whatever they ask", () => {
  for (let seed = 5; seed <= 15; seed++) {
    const ruleSet = randomRuleSet(randomSource(seed), 4);
    const turned = {
      ...ruleSet,
      tables: ruleSet.tables.toReversed().map((table) => ({ ...table, chains: table.chains.toReversed() })),
    };
    expect(sameRules({ a: ruleSet, b: turned, hostState: worldHostState(4) }).kind, `seed ${seed}`).toBe("same");
  }
});

test("a rule that does nothing makes no difference", { timeout: 300_000 }, () => {
  const idle: Rule = { matches: [], target: { kind: "none" } };
  const withIdle = (rules: RuleSet): RuleSet => ({
    ...rules,
    tables: rules.tables.map((table) => ({
      ...table,
      chains: table.chains.map((chain) => ({ ...chain, rules: [idle, ...chain.rules] })),
    })),
  });
  for (let seed = 5; seed <= 15; seed++) {
    const ruleSet = randomRuleSet(randomSource(seed), 4);
    const { kind } = sameRules({ a: ruleSet, b: withIdle(ruleSet), hostState: worldHostState(4) });
    expect(["same", "undecided"], `seed ${seed}`).toContain(kind);
  }
  const rich = richFixture("kubernetes", 6);
  expect(sameRules({ a: rich.rules, b: withIdle(rich.rules), hostState: rich.hostState }).kind).toBe("same");
});

describe("in either order", () => {
  const DIFFERENT = ["different", "different"];
  const UNDECIDED = ["undecided", "undecided"];
  test.for([
    [
      "iptables -A INPUT -j DROP",
      "iptables -A INPUT -m mark --mark 0x0/0x1 -j DROP\niptables -A INPUT -m mark --mark 0x1/0x1 -j DROP",
      ["same", "same"],
    ],
    [
      "iptables -A INPUT -m recent --rcheck --name A -j DROP",
      "iptables -A INPUT -m recent ! --rcheck --name A -j DROP",
      DIFFERENT,
    ],
    ["iptables -A FORWARD -m conntrack --ctdir REPLY -j DROP", "", DIFFERENT],
    ["iptables -t raw -A PREROUTING -j CT --zone 5", "", DIFFERENT],
    ["iptables -t raw -A PREROUTING -j CT --helper ftp", "", DIFFERENT],
    ["iptables -t mangle -A PREROUTING -j TEE --gateway 10.0.0.9", "", DIFFERENT],
    ["iptables -A INPUT -m recent --set --name A", "iptables -A INPUT -m recent --set --name A --rdest", DIFFERENT],
    ["iptables -A INPUT -m limit --limit 1/s -j DROP", "iptables -A INPUT -m limit --limit 2/s -j DROP", UNDECIDED],
    [
      "iptables -A INPUT -m recent --rcheck --seconds 5 --name A -j DROP",
      "iptables -A INPUT -m recent --rcheck --seconds 6 --name A -j DROP",
      UNDECIDED,
    ],
    ["iptables -t mangle -A FORWARD -j TTL --ttl-set 1", "", DIFFERENT],
    ["iptables -t mangle -A FORWARD -j TOS --set-tos 0x10", "", DIFFERENT],
    ["iptables -t mangle -A FORWARD -j CONNMARK --set-mark 5", "", DIFFERENT],
    ["iptables -t raw -A PREROUTING -j NOTRACK", "", DIFFERENT],
    ["iptables -A FORWARD -m connlabel --label 3 --set", "", DIFFERENT],
    ["iptables -A FORWARD -m recent --update --name A", "iptables -A FORWARD -m recent --rcheck --name A", UNDECIDED],
  ] as const)("%j and %j", ([a, b, kinds]) => {
    const kindOf = (one: string, other: string) => sameRules({ a: rulesOf(one), b: rulesOf(other), hostState }).kind;
    expect([kindOf(a, b), kindOf(b, a)]).toEqual(kinds);
  });
});

test("the kinds of packets grow with the NodePorts, not with their square", () => {
  const rulesWith = (count: number) => {
    const numbers = Array.from({ length: count }, (_, index) => index + 1);
    const chains = numbers.map((number) =>
      [
        `iptables -t nat -N POD-${number}`,
        `iptables -t nat -A POD-${number} -s 10.5.75.${number} -j MARK --or-mark 1`,
        `iptables -t nat -A POD-${number} -p tcp -j DNAT --to-destination 10.5.75.${number}:80`,
        `iptables -t nat -A NODEPORTS -p tcp --dport ${30000 + number} -j POD-${number}`,
      ].join("\n"),
    );
    const hook = "iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j NODEPORTS";
    return rulesOf(["iptables -t nat -N NODEPORTS", hook, ...chains].join("\n"));
  };
  const casesOf = (count: number) => {
    const rules = rulesWith(count);
    const longer = applyCommands(rules, parseCommands("iptables -A INPUT -j ACCEPT"));
    const result = sameRules({ a: rules, b: longer, hostState });
    if (result.kind !== "same" || result.cases === "all") throw new TypeError(result.kind);
    return result.cases;
  };
  expect(casesOf(80) / casesOf(20)).toBeLessThan(5);
});

describe("rules of nftables and of iptables", () => {
  const nft = (chains: string) => readRules([{ file: "nft", text: `table ip t {\n${chains}\n}\n` }]).rules(4);
  const kind = (iptables: string, chains: string) =>
    sameRules({ a: rulesOf(iptables), b: nft(chains), hostState }).kind;
  const forward = "chain c { type filter hook forward priority 0; policy accept;";
  const output = "chain c { type nat hook output priority -100; policy accept;";

  test.for([
    ["iptables -A FORWARD -s 10.0.0.0/8 -j DROP", `${forward}\n ip saddr 10.0.0.0/8 drop\n }`],
    [
      "iptables -A FORWARD -p tcp --dport 80 -j REJECT\niptables -A FORWARD -p tcp --dport 443 -j DROP",
      `${forward}\n tcp dport vmap { 443 : drop, 80 : goto r }\n }\n chain r {\n reject\n }`,
    ],
    [
      "iptables -t nat -A OUTPUT -d 10.9.9.9 -p tcp -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.0.1:80\niptables -t nat -A OUTPUT -d 10.9.9.9 -p tcp -j DNAT --to-destination 10.0.0.2:80",
      `${output}\n ip daddr 10.9.9.9 meta l4proto tcp dnat to numgen random mod 2 map { 0 : 10.0.0.2 . 80, 1 : 10.0.0.1 . 80 }\n }`,
    ],
    [
      "iptables -A FORWARD -m recent --name seen --rcheck --seconds 60 -j DROP\niptables -A FORWARD -m recent --name seen --set -j ACCEPT",
      `set seen { type ipv4_addr; flags dynamic,timeout; timeout 1m; }\n${forward}\n ip saddr @seen drop\n update @seen { ip saddr } accept\n }`,
    ],
  ] as const)("%s and %s treat all packets alike", ([iptables, chains]) => {
    expect(kind(iptables, chains)).toBe("same");
  });

  test.for([
    ["iptables -A FORWARD -s 10.0.0.0/8 -j DROP", `${forward}\n ip saddr 10.0.0.0/9 drop\n }`, "different"],
    ["iptables -A FORWARD -j REJECT", `${forward}\n reject with icmp host-unreachable\n }`, "different"],
    ["", `${forward}\n frobnicate 5\n }`, "undecided"],
    [
      "iptables -A FORWARD -m recent --name seen --rcheck --seconds 60 -j DROP\niptables -A FORWARD -m recent --name seen --set -j ACCEPT",
      `set seen { type ipv4_addr; flags dynamic,timeout; timeout 2m; }\n${forward}\n ip saddr @seen drop\n update @seen { ip saddr } accept\n }`,
      "undecided",
    ],
  ] as const)("%s and %s do not", ([iptables, chains, expected]) => {
    expect(kind(iptables, chains)).toBe(expected);
  });
});

test("what was not read of two rule sets may be otherwise in each, however alike the rest is", () => {
  const unread = [{ table: "filter", because: "nobody could" }];
  const read = hostRulesOf(rulesOf("iptables -A INPUT -p tcp --dport 22 -j DROP"));
  expect(sameRules({ a: read, b: read, hostState })).toEqual({ kind: "same", cases: "all" });
  const because = "the rules of filter were not read: nobody could";
  for (const [a, b] of [
    [
      { ...read, unread },
      { ...read, unread },
    ],
    [read, { ...read, unread }],
    [{ ...read, unread }, read],
  ] as const)
    expect(sameRules({ a, b, hostState })).toMatchObject({ kind: "undecided", because });
});

test("what a listing of nft has the name of alone may ask for something else in the other", () => {
  const listing = (...statements: readonly object[]) => {
    const table = { family: "ip", table: "t" };
    const base = { type: "filter", hook: "input", prio: 0, policy: "accept" };
    const nftables = [
      { table: { family: "ip", name: "t" } },
      { chain: { ...table, name: "c", ...base } },
      { rule: { ...table, chain: "c", expr: [...statements, { drop: null }] } },
    ];
    const text = JSON.stringify({ nftables: [{ metainfo: { version: "1.0.6" } }, ...nftables] });
    return readRules([{ file: "listing", text }]).rules(4);
  };
  const judged = (...statements: readonly object[]) =>
    sameRules({ a: listing(...statements), b: listing(...statements), hostState });
  expect(judged({ xt: { type: "match", name: "string" } })).toMatchObject({
    kind: "undecided",
    because: expect.stringContaining("xt match string"),
  });
  expect(judged({ limit: { rate: 5, per: "second" } })).toEqual({ kind: "same", cases: "all" });
  expect(judged({ xt: { type: "match", name: "comment" } })).toEqual({ kind: "same", cases: "all" });
});
