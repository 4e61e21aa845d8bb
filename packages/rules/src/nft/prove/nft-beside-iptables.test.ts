import { readFileSync } from "node:fs";
import { parseIpAddress, parseKubernetes, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { hostStateOf } from "../../host/host-state-of.ts";
import { proveRules } from "../../prove/prove-rules.ts";
import { readRules } from "../../rule-sets/read-rules.ts";
import { deviationsOf } from "../../testing/prove-fixtures.ts";
import { createTracer } from "../../trace/trace-packet.ts";

const FOLDER = new URL("../../../golden/nft-beside-iptables/", import.meta.url);
const read = (file: string) => readFileSync(new URL(file, FOLDER));
const { topology } = parseKubernetes([{ file: "lab.yaml", bytes: read("lab.yaml") }]);
const plan = planHost(topology, { host: "n1" });
const hostState = { ...hostStateOf(topology, { host: "n1" }), recentLists: {} };
const SAVE = read("save.txt").toString();

/** Rules of ours in iptables' nat table, of which iptables-save says that filter is nft's alone. */
function rulesWith(nft: string | undefined, save = SAVE) {
  const listing = nft === undefined ? [] : [{ file: nft, text: read(nft).toString() }];
  return readRules([{ file: "save.txt", text: save }, ...listing]).rules(4);
}

function claimsOf(rules: ReturnType<typeof rulesWith>): readonly string[] {
  const { claims } = proveRules({ rules, plan, hostState, deviations: deviationsOf("kubernetes") });
  return claims.filter(({ status }) => status !== "held").map(({ number, status }) => `${number} ${status}`);
}

function verdictsOf(rules: ReturnType<typeof rulesWith>): readonly string[] {
  const [from, to] = ["10.244.1.6", "10.96.0.20"].map((address) => parseIpAddress(address));
  if (from === undefined || to === undefined) throw new TypeError("no address");
  const { branches } = createTracer({ rules, hostState }).trace({ from, to, protocol: "tcp", port: 80 });
  return [...new Set(branches.map((branch) => (branch.kind === "decided" ? branch.outcome.verdict : branch.kind)))];
}

describe("native rules of nft beside those of iptables", () => {
  test("a table that iptables cannot show leaves open what it does", () => {
    const rules = rulesWith(undefined);
    expect(claimsOf(rules)).toContain("1 undecided");
    expect(verdictsOf(rules)).toEqual(["undecided"]);
  });

  test("a drop that nft put there breaks the claims", () => {
    const rules = rulesWith("drop-in-filter.nft");
    expect(claimsOf(rules)).toEqual(expect.arrayContaining(["1 broken", "6 broken"]));
    expect(verdictsOf(rules)).toEqual(["dropped"]);
  });

  test("a rule there that is for others changes nothing", () => {
    const rules = rulesWith("count-in-filter.nft");
    // The rules that refuse stood in filter, of which neither file tells.
    expect(claimsOf(rules)).toEqual(["3 broken"]);
    expect(verdictsOf(rules)).toEqual(["accepted"]);
  });

  test("firewalld's reject is found in a table of its own", () => {
    const rules = rulesWith("firewalld.nft", SAVE.replace(/^# Table .*\n/, ""));
    expect(claimsOf(rules)).toEqual(expect.arrayContaining(["1 broken", "6 broken"]));
    expect(verdictsOf(rules)).toEqual(["refused"]);
  });
});
