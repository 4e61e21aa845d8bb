import { readdirSync, readFileSync } from "node:fs";
import { InputError } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import type { NftRuleSet, NftStatement } from "./nft-rule-set.ts";
import { isNftText, parseNft } from "./parse-nft.ts";

const golden = (name: string) => readFileSync(new URL(`../../golden/${name}`, import.meta.url), "utf8");
const KUBE_PROXY = readdirSync(new URL("../../golden/kube-proxy", import.meta.url)).filter((name) => /^\d/.test(name));

/** Rules without what they are told by: the values that decide. */
function meaning({ tables }: NftRuleSet) {
  return tables.map(({ family, name, chains, sets }) => ({
    family,
    name,
    chains: chains.map(({ name: chain, base, rules }) => ({
      chain,
      base,
      rules: rules.map(({ statements }) => statements.map(withoutText)),
    })),
    sets: [...sets.values()].map(({ name: set, isMap, keyTypes, dataTypes, elements }) => ({
      ...{ set, isMap, keyTypes, dataTypes, elements },
    })),
  }));
}

function withoutText(statement: NftStatement): NftStatement | string {
  return "text" in statement ? statement.kind : statement;
}

function unreadOf({ tables }: NftRuleSet): readonly string[] {
  return tables.flatMap(({ chains, unread }) => [
    ...unread.map(({ text }) => text),
    ...chains.flatMap(({ rules }) =>
      rules.flatMap(({ statements }) => statements.flatMap((one) => (one.kind === "unread" ? one.text : []))),
    ),
  ]);
}

describe("what nft 1.0.6 lists", () => {
  test.for(KUBE_PROXY)("reads kube-proxy's %s alike as text and as JSON", (folder) => {
    const text = parseNft(golden(`kube-proxy/${folder}/nft.txt`));
    const json = parseNft(golden(`kube-proxy/${folder}/nft.json`));
    expect(unreadOf(text)).toEqual([]);
    expect(unreadOf(json)).toEqual([]);
    expect(meaning(json)).toEqual(meaning(text));
  });

  test("reads every statement alike as text and as JSON", () => {
    const text = parseNft(golden("nft/every-statement.nft"));
    const json = parseNft(golden("nft/every-statement.json"));
    expect(unreadOf(text)).toEqual([]);
    expect(unreadOf(json)).toEqual([]);
    // Times and labels are numbers to the one and texts to the other, and nothing hangs on them.
    const known = (statements: readonly (NftStatement | string)[]) => !/"(expiration|label)"/.test(told(statements));
    const rulesOf = (rules: NftRuleSet) =>
      meaning(rules).flatMap(({ chains }) => chains.flatMap((chain) => chain.rules.filter(known)));
    expect(rulesOf(json)).toEqual(rulesOf(text));
    expect(rulesOf(text).length).toBeGreaterThan(180);
    expect(meaning(json).map(({ sets }) => sets)).toEqual(meaning(text).map(({ sets }) => sets));
  });
});

/** Counters are bigint. */
function told(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === "bigint" ? String(part) : part));
}

test("reads a file for nft -f that declares tables and adds elements", () => {
  const { tables } = parseNft(golden("nft/features-ipv6.nft"));
  expect(unreadOf({ tables })).toEqual([]);
  const [table] = tables;
  expect(table?.sets.get("endpoints")?.elements.at(0)).toEqual({
    key: [0x10001],
    data: { kind: "value", parts: ["fd05:75::2", 3000] },
  });
  expect(table?.sets.get("sticky-10800")).toMatchObject({ isDynamic: true, timeoutMs: 10_800_000 });
  const [update] = table?.chains.find(({ name }) => name === "learn-3")?.rules[0]?.statements ?? [];
  expect(update).toMatchObject({ kind: "update", operation: "update", set: "sticky-3", timeoutMs: 3000 });
});

test("keeps what it does not understand, from there on to the end of the rule", () => {
  const { tables } = parseNft(`table inet t {
  chain c {
    type filter hook input priority filter; policy drop;
    tcp dport 80 frobnicate with 3 accept
    xt target "TPROXY"
    tcp dport 81 accept
  }
}
`);
  const [first, second, third] = tables[0]?.chains[0]?.rules ?? [];
  expect(first?.statements[0]).toMatchObject({ kind: "match" });
  expect(first?.statements[1]).toEqual({
    kind: "unread",
    text: "frobnicate with 3 accept",
    because: "the statement `frobnicate` is not known",
  });
  expect(second?.statements.map(({ kind }) => kind)).toEqual(["unread"]);
  expect(third?.statements.map(({ kind }) => kind)).toEqual(["match", "verdict"]);
});

test("says where a listing is cut off", () => {
  const read = () => parseNft("table ip nat {\n\tchain PREROUTING {\n\t\ttcp dport 80 accept\n", { file: "a.nft" });
  expect(read).toThrow(InputError);
  expect(read).toThrow("Cannot read the nftables rules: chain PREROUTING has no end");
});

test("says of a map that the JSON of an old nft may lack rules that write it", () => {
  const listing = (version: string) => ({
    nftables: [
      { metainfo: { version, json_schema_version: 1 } },
      { table: { family: "ip", name: "t", handle: 1 } },
      { map: { family: "ip", name: "m", table: "t", type: "ipv4_addr", map: "mark", size: 65535, flags: ["timeout"] } },
    ],
  });
  const mapOf = (version: string) => parseNft(JSON.stringify(listing(version))).tables[0]?.sets.get("m");
  expect(mapOf("1.0.6")?.unread?.text).toBe("update @m");
  expect(mapOf("1.1.3")?.unread).toBeUndefined();
});

test.for([
  ["table ip nat {\n}\n", true],
  ["# a comment\nadd table ip x\n", true],
  ["# Warning: table ip nat is managed by iptables-nft, do not touch!\ntable ip nat {\n}\n", true],
  ['{"nftables": []}', true],
  ["# Generated by iptables-save v1.8.9\n*nat\nCOMMIT\n", false],
  ["", false],
] as const)("tells nft's text from iptables-save's: %j", ([text, expected]) => {
  expect(isNftText(text)).toBe(expected);
});

describe("what a listing leaves out", () => {
  const rulesOf = (family: string, name: string, rule: string) =>
    parseNft(
      `table ${family} ${name} {\n chain INPUT {\n type filter hook input priority 0; policy accept;\n ${rule}\n }\n}\n`,
    ).tables[0]?.chains[0]?.rules[0]?.statements.map(({ kind }) => kind);

  test("the family of a reset, in a table of both", () => {
    expect(rulesOf("inet", "t", "meta l4proto tcp reject with tcp reset")).toEqual(["gate", "match", "reject"]);
    expect(rulesOf("inet", "t", "ip saddr 10.0.0.1 meta l4proto tcp reject with tcp reset")).toEqual([
      ...["match", "match", "reject"],
    ]);
    expect(rulesOf("ip", "t", "meta l4proto tcp reject with tcp reset")).toEqual(["match", "reject"]);
  });

  test("half of iptables' --ctstate, in a table of iptables-nft", () => {
    expect(rulesOf("ip", "filter", "ct state established ct status snat,dnat drop")).toEqual(["gate", "verdict"]);
    expect(rulesOf("ip", "filter", "ct state established drop")).toEqual(["match", "verdict"]);
    expect(rulesOf("ip", "other", "ct status dnat drop")).toEqual(["match", "verdict"]);
  });
});
