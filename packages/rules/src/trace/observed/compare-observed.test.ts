import { exampleTopology, type IpAddress, parseIpAddress, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { hostRulesOf } from "../../hooks/host-rules.ts";
import { hostStateOf } from "../../host/host-state-of.ts";
import { parseSave } from "../../rule-sets/parse-save.ts";
import { DOCUMENT_RULES } from "../../testing/document-rules.ts";
import { createTracer } from "../trace-packet.ts";
import { compareObserved } from "./compare-observed.ts";
import { formatObserved } from "./format-observed.ts";
import { KnownChains } from "./known-chains.ts";
import { observedToJson } from "./observed-json.ts";
import type { ObservedPacket, ObservedStep } from "./observed-packet.ts";

const { topology } = exampleTopology();
const RULES = hostRulesOf(parseSave(DOCUMENT_RULES, { family: 4 }));
const CHAINS = new KnownChains(RULES);
const TRACE = createTracer({
  rules: RULES,
  hostState: hostStateOf(topology, { host: "cloudos1" }),
  plan: planHost(topology, { host: "cloudos1" }),
}).trace({ from: address("10.5.75.3"), to: address("10.100.100.1"), port: 7070, sourcePort: 40000 });

const DIALLED = {
  inInterface: "cni0",
  source: "10.5.75.3",
  destination: "10.100.100.1",
  sourcePort: 40000,
  destinationPort: 7070,
};
/** On its way to the endpoint on the other host. */
const LEFT = {
  outInterface: "flannel.1",
  source: "10.5.75.3",
  destination: "10.5.88.2",
  sourcePort: 40000,
  destinationPort: 3000,
};

function address(text: string): IpAddress {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new TypeError(`no address: ${text}`);
  return parsed;
}

function rule(chain: string, number: number | undefined, verdict: string): ObservedStep {
  return { kind: "rule", table: "ip nat", chain, number, text: "as nft prints it", verdict };
}

function numberOf(chain: string, text: string): number {
  const table = RULES.iptables[0]?.rules.tables.find(({ name }) => name === "nat");
  const rules = table?.chains.find(({ name }) => name === chain)?.rules ?? [];
  const at = rules.findIndex((_rule, index) => CHAINS.ruleText("ip nat", chain, index + 1)?.includes(text));
  if (at < 0) throw new Error(`no rule with ${text} in ${chain}`);
  return at + 1;
}

/** The kernel's word of a packet that goes to the endpoint of the other host. */
const WAY: readonly ObservedStep[] = [
  { kind: "chain", table: "ip nat", chain: "PREROUTING", header: DIALLED },
  rule("PREROUTING", numberOf("PREROUTING", "KUBE-SERVICES"), "jump KUBE-SERVICES"),
  rule("KUBE-SERVICES", numberOf("KUBE-SERVICES", "10.100.100.1"), "jump KUBE-SVC-1"),
  rule("KUBE-SVC-1", 2, "jump KUBE-SEP-os2my1"),
  rule("KUBE-SEP-os2my1", numberOf("KUBE-SEP-os2my1", "DNAT"), "accept"),
  { kind: "chain", table: "ip nat", chain: "POSTROUTING", header: LEFT },
  rule("POSTROUTING", numberOf("POSTROUTING", "KUBE-POSTROUTING"), "jump KUBE-POSTROUTING"),
  { kind: "policy", table: "ip nat", chain: "POSTROUTING", verdict: "accept" },
  { kind: "left", header: LEFT },
];

function compare(steps: readonly ObservedStep[]) {
  const packet: ObservedPacket = { header: DIALLED, steps };
  const comparison = compareObserved(packet, { trace: TRACE, chains: CHAINS });
  return {
    comparison,
    text: formatObserved(packet, { trace: TRACE, comparison }),
    json: observedToJson(packet, comparison),
  };
}

describe("a packet's way in the kernel", () => {
  test("agrees with the branch that took the same rules to the same end", () => {
    const { comparison, text, json } = compare(WAY);
    expect(comparison.agreement).toBe("agrees");
    expect(comparison.branch).toMatchObject({ outcome: { destination: { address: "10.5.88.2" } } });
    expect(text).toContain("=       ");
    expect(text).toContain("So it left by flannel.1 to 10.5.88.2:3000, from 10.5.75.3:40000.");
    expect(text).toMatch(/As predicted by branch \d of 2 \(50 %\): the same 5 rules, and the same end\./);
    expect(json.hops.every(({ asPredicted }) => asPredicted)).toBe(true);
  });

  test("disagrees where another rule took it, and both are named", () => {
    const { comparison, text } = compare(
      WAY.map((step) =>
        step.kind === "rule" && step.chain === "KUBE-SERVICES" ? { ...step, number: 1 + (step.number ?? 0) } : step,
      ),
    );
    expect(comparison.agreement).toBe("other-way");
    expect(comparison.disagreement).toMatch(
      /^rule \d of nat KUBE-SERVICES .* took it, and rule \d of nat KUBE-SERVICES .*10\.100\.100\.1.* was predicted$/,
    );
    expect(text).toContain("Predicted from there on:");
  });

  test("disagrees where it was dropped, and where it came to no further hook", () => {
    const dropped = compare([...WAY.slice(0, 4), rule("KUBE-SVC-1", 2, "drop")]);
    expect(dropped.comparison.agreement).toBe("disagrees");
    expect(dropped.text).toContain("NOT AS PREDICTED");
    expect(dropped.text).toContain("So it was dropped or refused by the last of these rules.");
    const lost = compare(WAY.slice(0, 5));
    expect(lost.comparison).toMatchObject({ agreement: "disagrees", alike: 4 });
    expect(lost.text).toContain("So it came to no hook behind PREROUTING");
  });

  test("disagrees where only the end is another one", () => {
    const { comparison } = compare([...WAY.slice(0, -1), { kind: "left", header: { ...LEFT, source: "192.168.1.6" } }]);
    expect(comparison.agreement).toBe("disagrees");
    expect(comparison.disagreement).toContain("it left by flannel.1 to 10.5.88.2:3000, from 192.168.1.6:40000");
  });

  test("with a rule that nobody knows the number of, it is told as nft prints it", () => {
    const { text } = compare([rule("PREROUTING", undefined, "accept")]);
    expect(text).toContain("?. yes  as nft prints it");
  });
});

test("rules of iptables-legacy are not expected of the kernel's tracing", () => {
  const legacy = new KnownChains({
    ...RULES,
    iptables: RULES.iptables.map((set) => ({ ...set, variant: "legacy" as const })),
  });
  expect([legacy.isEmpty, [...legacy.legacyTables]]).toEqual([true, ["nat"]]);
});
