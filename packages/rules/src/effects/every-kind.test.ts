import { describe, expect, test } from "vitest";
import type { Match } from "../match.ts";
import type { Rule, RuleSet } from "../rule-set.ts";
import { parseSave } from "../rule-sets/parse-save.ts";
import type { Target } from "../target.ts";
import { corpusTable, readCorpus } from "../testing/corpus.ts";
import { randomRuleSet } from "../testing/differential/random-rules.ts";
import { randomSource } from "../testing/differential/random-source.ts";
import { matchEffect } from "./match-effect.ts";
import { targetEffect } from "./target-effect.ts";

/** Each kind; a new one stops the build here. */
const MATCH_KINDS: Readonly<Record<Match["kind"], true>> = {
  ...{ source: true, destination: true, inInterface: true, outInterface: true, protocol: true, fragment: true },
  ...{ tcp: true, udp: true, sctp: true, icmp: true, multiport: true, addrtype: true, mark: true, connmark: true },
  ...{ conntrack: true, state: true, statistic: true, recent: true, comment: true, set: true, physdev: true },
  ...{ limit: true, owner: true, iprange: true, socket: true, rpfilter: true, mac: true, length: true, ttl: true },
  ...{ pkttype: true, helper: true, devgroup: true, connbytes: true, policy: true, nfacct: true, connlabel: true },
  ...{ tos: true, dscp: true, unknown: true },
};

const TARGET_KINDS: Readonly<Record<Target["kind"], true>> = {
  ...{ none: true, accept: true, drop: true, return: true, jump: true, goto: true, dnat: true, snat: true },
  ...{ masquerade: true, redirect: true, netmap: true, mark: true, connmark: true, reject: true, log: true },
  ...{ nflog: true, tcpmss: true, ct: true, checksum: true, tproxy: true, trace: true, set: true, tos: true },
  ...{ dscp: true, ttl: true, unknown: true },
};

/** A socket takes what TPROXY hands over, and TCPMSS writes what no engine and no probe looks at. */
const NOT_DRAWN: readonly string[] = ["tproxy", "tcpmss"];

function rulesOf({ tables }: RuleSet): readonly Rule[] {
  return tables.flatMap(({ chains }) => chains.flatMap(({ rules }) => rules));
}

const corpus = ([4, 6] as const).flatMap((family) => {
  const rules = readCorpus(family);
  return [...new Set(rules.map(({ table }) => table))].flatMap((table) => {
    const lines = rules.filter((rule) => rule.table === table).map(({ saved }) => saved);
    return rulesOf(parseSave(corpusTable(table, lines), { family }));
  });
});

const drawn = Array.from({ length: 600 }, (_, seed) => {
  const random = randomSource(seed);
  return rulesOf(randomRuleSet(random, random.chance(0.7) ? 4 : 6));
}).flat();

function kinds(rules: readonly Rule[]): {
  readonly matches: ReadonlySet<string>;
  readonly targets: ReadonlySet<string>;
} {
  return {
    matches: new Set(rules.flatMap(({ matches }) => matches.map(({ kind }) => kind))),
    targets: new Set(rules.map(({ target }) => target.kind)),
  };
}

describe.for([
  { name: "match", all: Object.keys(MATCH_KINDS), of: "matches" },
  { name: "target", all: Object.keys(TARGET_KINDS), of: "targets" },
] as const)("every kind of $name", ({ all, of }) => {
  test("is in the corpus, as iptables writes it, and read as what it is", () => {
    expect(all.filter((kind) => !kinds(corpus)[of].has(kind))).toEqual([]);
  });

  test("is drawn by the random differential", () => {
    expect(all.filter((kind) => !kinds(drawn)[of].has(kind) && !NOT_DRAWN.includes(kind))).toEqual([]);
  });
});

test("only what nobody knows of may do anything", () => {
  const ofMatches = corpus
    .flatMap(({ matches }) => matches)
    .filter((match) => matchEffect(match).reads.includes("anything"));
  const ofTargets = corpus
    .map(({ target }) => target)
    .filter((target) => targetEffect(target).changes.includes("anything"));
  expect(new Set(ofMatches.map((match) => match.kind))).toEqual(new Set());
  expect(new Set(ofTargets.map((target) => (target.kind === "unknown" ? target.name : target.kind)))).toEqual(
    // DNAT with several ranges, which the first kernels had, is kept word for word.
    new Set(["DNAT", "NFQUEUE", "SNPT", "SYNPROXY"]),
  );
});
