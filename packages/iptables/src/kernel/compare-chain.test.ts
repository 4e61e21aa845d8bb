import { parseSave, type Rule } from "@svcproxy/rules";
import fc from "fast-check";
import { expect, test } from "vitest";
import { compareChain } from "./compare-chain.ts";

function rules(...lines: readonly string[]): readonly Rule[] {
  const text = `*nat\n:C - [0:0]\n:A - [0:0]\n:B - [0:0]\n${lines.map((line) => `-A C ${line}\n`).join("")}COMMIT\n`;
  return parseSave(text, { family: 4 }).tables[0]?.chains.find(({ name }) => name === "C")?.rules ?? [];
}

const A = "-d 10.0.0.1/32 -p tcp -m tcp --dport 80 -j A";
const B = "-d 10.0.0.2/32 -p tcp -m tcp --dport 80 -j B";

test.for([
  { name: "equal by meaning", current: ["-p tcp -d 10.0.0.1 -m tcp --dport 80:80 -j A"], planned: [A], findings: [] },
  { name: "a comment alone changes nothing", current: [`-m comment --comment x ${A}`], planned: [A], findings: [] },
  { name: "missing", current: [A], planned: [A, B], findings: [{ kind: "missing", plannedPosition: 2 }] },
  { name: "foreign", current: [A, "-j ACCEPT", B], planned: [A, B], findings: [{ kind: "extra", position: 2 }] },
  {
    name: "changed in its test",
    current: ["-d 10.0.0.9/32 -j A", B],
    planned: [A, B],
    findings: [{ kind: "changed", position: 1 }],
  },
  {
    name: "changed in its target",
    current: [A, B.replace("-j B", "-j A")],
    planned: [A, B],
    findings: [{ kind: "changed", position: 2 }],
  },
  {
    name: "nothing in common is not a change",
    current: ["-j ACCEPT"],
    planned: [A],
    findings: [{ kind: "extra" }, { kind: "missing" }],
  },
  {
    name: "moved",
    current: ["-j ACCEPT", A],
    planned: [A, "-j ACCEPT"],
    findings: [{ kind: "moved", position: 1, plannedPosition: 2 }],
  },
  { name: "in another order that does the same", current: [B, A], planned: [A, B], findings: [] },
  {
    name: "duplicated",
    current: [A, B, A, A],
    planned: [A, B],
    findings: [{ kind: "duplicated", positions: [1, 3, 4] }],
  },
  {
    name: "a plan that repeats itself",
    current: [A],
    planned: [A, A],
    findings: [{ kind: "missing", plannedPosition: 2 }],
  },
])("$name", ({ current, planned, findings }) => {
  expect(compareChain(rules(...current), rules(...planned))).toMatchObject(findings);
  expect(compareChain(rules(...current), rules(...planned))).toHaveLength(findings.length);
});

test("there are findings exactly where a packet meets other rules, or meets them in another order", () => {
  // No packet meets both A and B, and every packet all others.
  const met = (chain: readonly string[]) => [B, A].map((none) => chain.filter((line) => line !== none).join());
  const lines = fc.array(fc.constantFrom(A, B, "-j ACCEPT", "-j A", "-j B"), { maxLength: 6 });
  fc.assert(
    fc.property(lines, lines, (current, planned) => {
      const differs = met(current).join("\n") !== met(planned).join("\n");
      expect(compareChain(rules(...current), rules(...planned)).length > 0).toBe(differs);
    }),
    { numRuns: 200 },
  );
});

test("a chain of 20,000 rules with nothing in common is compared in bounded time", () => {
  const chain = (network: number) =>
    Array.from(
      { length: 20_000 },
      (_, index): Rule => ({
        matches: [{ kind: "mark", negated: false, value: network * 100_000 + index, mask: 0xffffffff }],
        target: { kind: "jump", chain: `${network}-${index}` },
      }),
    );
  expect(compareChain(chain(1), chain(2))).toHaveLength(40_000);
}, 20_000);
