import { expect, test } from "vitest";
import type { Result } from "../result.ts";
import { renderJUnit } from "./render-junit.ts";
import { renderMatrix } from "./render-matrix.ts";

const RESULTS: readonly Result[] = [
  { scenario: "hairpin", promise: "", dataPath: "nft", overlay: "vxlan", outcome: { kind: "ok", ms: 1500 } },
  {
    scenario: "evidence",
    promise: "",
    dataPath: "nft",
    overlay: "vxlan",
    outcome: { kind: "failed", ms: 20, reason: "a < b & c\nmore", evidence: "rules \u0007" },
  },
  { scenario: "hairpin", promise: "", dataPath: "proxy", overlay: "host-gw", outcome: { kind: "ok", ms: 1 } },
  {
    scenario: "evidence",
    promise: "",
    dataPath: "proxy",
    overlay: "host-gw",
    outcome: { kind: "not applicable", reason: "it has no rules" },
  },
];

test("the matrix has a row a scenario and a column a stage, and says why one is empty", () => {
  expect(renderMatrix(RESULTS)).toBe(
    [
      "          nft/vxlan  proxy/host-gw",
      "hairpin   ok         ok",
      "evidence  FAILED     -",
      "",
      "Not applicable:",
      "- evidence: it has no rules (proxy/host-gw)",
      "",
    ].join("\n"),
  );
});

test("JUnit has a case for each scenario that was played, none for one that is not applicable", () => {
  expect(renderJUnit(RESULTS)).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="e2e">
  <testsuite name="nft/vxlan" tests="2" failures="1" time="1.520">
    <testcase classname="nft/vxlan" name="hairpin" time="1.500"/>
    <testcase classname="nft/vxlan" name="evidence" time="0.020"><failure message="a &lt; b &amp; c">a &lt; b &amp; c
more

rules \ufffd</failure></testcase>
  </testsuite>
  <testsuite name="proxy/host-gw" tests="1" failures="0" time="0.001">
    <properties><property name="not applicable: evidence" value="it has no rules"/></properties>
    <testcase classname="proxy/host-gw" name="hairpin" time="0.001"/>
  </testsuite>
</testsuites>
`);
});
