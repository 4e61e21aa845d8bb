import { exampleTopology, type NodeSettings, parseCidr, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { compileScript } from "./compile-rules.ts";
import { chooseDialect, type Dialect, dialectDeviations } from "./dialect.ts";
import { formatShellScript } from "./script/format-script.ts";

const { topology } = exampleTopology();

function planWith(node: Partial<NodeSettings> = {}) {
  return planHost({ ...topology, node: { ...topology.node, ...node } }, { host: "cloudos1" });
}

test.for([
  ["topology", undefined, "document"],
  ["kubernetes", undefined, "kubernetes"],
  ["topology", "kubernetes", "kubernetes"],
  ["kubernetes", "document", "document"],
] as const)("of a %s, asked for %s, the rules are those of the %s dialect", ([source, asked, dialect]) => {
  expect(chooseDialect({ source }, asked)).toBe(dialect);
});

describe("what a dialect does otherwise than the plan is named", () => {
  const kinds = (dialect: Dialect, node: Partial<NodeSettings> = {}, family: 4 | 6 = 4) =>
    dialectDeviations(planWith(node), { dialect, family }).map(({ kind }) => kind);
  const ALWAYS = ["host-traffic-masqueraded", "nodeport-on-loopback", "whole-mark", "mark-outlives-packet"];

  test("of the document", () => {
    expect(kinds("document")).toEqual([...ALWAYS, "outside-clusterip-not-masqueraded"]);
  });

  test("of the document where the settings say how pods are told, in the families in which they can be", () => {
    expect(kinds("document", { detectLocal: { mode: "NodeCIDR" } })).toEqual(ALWAYS);
    expect(kinds("document", { detectLocal: { mode: "NodeCIDR" } }, 6)).toContain("outside-clusterip-not-masqueraded");
  });

  test("of kube-proxy", () => {
    expect(kinds("kubernetes")).toEqual(["host-to-external-not-refused", "unserved-nodeport-on-every-address"]);
  });
});

test("the document's rules mark clients outside the hosts only where the settings say how pods are told", () => {
  const block = parseCidr("10.5.0.0/16");
  if (block === undefined) throw new TypeError("no block");
  const marking = (node: Partial<NodeSettings>) =>
    [...formatShellScript(compileScript(planWith(node), { dialect: "document", family: 4 }))]
      .join("")
      .split("\n")
      .filter((line) => line.includes("! -s") && line.includes("KUBE-MARK-MASQ"));
  expect(marking({})).toEqual([]);
  expect(marking({ clusterCIDRs: [block] })).toHaveLength(2);
});
