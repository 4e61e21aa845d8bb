import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readJUnitOutcomes, readUnitOutcomes } from "./read-outcomes.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "svcproxy-outcomes-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("a JUnit report names what failed with all that it says, and what was skipped", () => {
  const file = join(folder, "e2e.xml");
  writeFileSync(
    file,
    `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="e2e">
  <testsuite name="nft/vxlan" tests="4" failures="1">
    <testcase classname="nft/vxlan" name="hairpin" time="1.500"/>
    <testcase classname="nft/vxlan" name="a &lt; b" time="0.020"><failure message="short">a &lt; b &amp; c
more</failure></testcase>
    <testcase classname="nft/vxlan" name="terse"><error message="no body"/></testcase>
    <testcase classname="nft/vxlan" name="udp"><skipped/></testcase>
  </testsuite>
</testsuites>
`,
  );
  expect(readJUnitOutcomes(file)).toEqual({
    passed: 1,
    failed: [
      { name: "nft/vxlan a < b", message: "a < b & c\nmore" },
      { name: "nft/vxlan terse", message: "no body" },
    ],
    secondTry: [],
    skipped: ["nft/vxlan udp"],
  });
});

test.for([
  { runner: "e2e", read: readJUnitOutcomes, name: "e2e.xml" },
  { runner: "unit", read: readUnitOutcomes, name: "unit.json" },
])("a run of $runner without its report has failed", ({ read, name }) => {
  const outcomes = read(join(folder, "nothing", name));
  expect(outcomes).toMatchObject({ passed: 0, failed: [{ name }] });
});
