import { readFileSync } from "node:fs";
import { FEATURES } from "@svcproxy/host/testing";
import { hostStateOf, proveRules, readRules, tableDeviations } from "@svcproxy/rules";
import { type Family, parseTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { compileTable } from "./compile-table.ts";
import { formatTable } from "./table/format-table.ts";

const { topology } = parseTopology(readFileSync(FEATURES), { file: FEATURES.pathname });
const plan = planHost(topology, { host: "edge" });

/** The claims that do not hold of the table, perhaps after a change. */
function faults(
  family: Family,
  change: (text: string) => string = (same) => same,
  { isLeased = false } = {},
): readonly string[] {
  const text = [...formatTable(compileTable(plan, { family, isLeased }).table)].join("\n");
  const rules = readRules([{ file: "table.nft", text: change(text) }]).rules(family);
  const hostState = { ...hostStateOf(topology, { host: "edge" }), recentLists: {} };
  const { claims } = proveRules({ rules, plan, hostState, deviations: tableDeviations("svcproxy", plan) });
  return claims.filter(({ status }) => status !== "held").map(({ number, status }) => `${number} ${status}`);
}

test.for([4, 6] as const)("IPv%i: every claim holds of the table for every feature", (family) => {
  expect(faults(family)).toEqual([]);
});

test("a table that answers as long as its lease is renewed keeps every claim, and without one none", () => {
  expect(faults(4, (same) => same, { isLeased: true })).toEqual([]);
  const ended = (text: string) => text.replace(/(set lease \{[^}]*?)elements = \{[^}]*\}/, "$1");
  expect(faults(4, ended, { isLeased: true })).toContain("1 broken");
});

test.for([
  ["nobody is remembered", /update (@affinity-\d+)/g, "delete $1", "5 broken"],
  ["clients are forgotten too early", /timeout 10m/g, "timeout 5m", "5 broken"],
  ["an endpoint that is gone is kept", /meta priority != @usable-slots goto forget-600/, "drop", "1 broken"],
  ["a restricted address is open to all", /.*@allowed drop\n/, "", "5 broken"],
  ["one endpoint of two is drawn", /random mod 2 map/g, "random mod 1 map", "1 broken"],
  ["the mark takes others with it", /set meta mark \| 0x0*4000/g, "set 0x4000", "7 broken"],
  ["a base chain drops what it has no rule for", /(hook output priority -105; policy) accept/, "$1 drop", "4 broken"],
  ["nothing is masqueraded", /masquerade fully-random/g, "accept", "2 broken"],
] as const)("a change breaks the claim that it is about: %s", ([, pattern, by, claim]) => {
  const change = (text: string) => {
    const changed = text.replace(pattern, by);
    expect(changed).not.toBe(text);
    return changed;
  };
  expect(faults(4, change)).toContain(claim);
});

test("what nobody can follow is not held untouched: a packet to no frontend that is sent to a chain of affinity", () => {
  const change = (text: string) => {
    const chain = /chain (sticky-\S+) \{/.exec(text)?.[1] ?? "none";
    return text.replace(/(chain late-prerouting \{[^}]*?)jump unserved/, `$1jump ${chain}`);
  };
  expect(faults(4, change)).toContain("4 undecided");
});
