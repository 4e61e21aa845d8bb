import { parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { parseSave } from "../rule-sets/parse-save.ts";
import { documentFixture } from "../testing/prove-fixtures.ts";
import { tracePacket } from "../trace/trace-packet.ts";
import { sameRules } from "./same/same-rules.ts";

const { hostState } = documentFixture();

/** Chains in a row, of which each sets a bit of the mark by chance: 57 lines lead to 2²⁸ ways. */
function hostileRules() {
  const chains = Array.from({ length: 28 }, (_, place) => place);
  const rules = chains.flatMap((place) => [
    `-A C${place} -m statistic --mode random --probability 0.5 -j MARK --set-xmark 0x${(2 ** place).toString(16)}/0x${(2 ** place).toString(16)}`,
    ...(place < 27 ? [`-A C${place} -j C${place + 1}`] : []),
  ]);
  const declared = chains.map((place) => `:C${place} - [0:0]`);
  const text = ["*mangle", ":PREROUTING ACCEPT [0:0]", ...declared, "-A PREROUTING -j C0", ...rules, "COMMIT"];
  return parseSave(`${text.join("\n")}\n`, { family: 4 });
}

test("rules that tell too many packets apart are too large to decide, and the chain is named", {
  timeout: 300_000,
}, () => {
  const b = parseSave("*filter\n:INPUT DROP [0:0]\nCOMMIT\n", { family: 4 });
  expect(() => sameRules({ a: hostileRules(), b, hostState })).toThrow(
    /^Too large to decide: the chain C\d+ of table mangle/,
  );
});

test("a trace through them ends undecided, and names the chain", { timeout: 300_000 }, () => {
  const [from, to] = [parseIpAddress("10.5.75.2"), parseIpAddress("10.100.100.1")];
  if (from === undefined || to === undefined) throw new TypeError("no address");
  const { branches } = tracePacket({ rules: hostileRules(), hostState, packet: { from, to, port: 80 } });
  const outcomes = branches.flatMap((branch) =>
    branch.kind === "decided" ? [branch.outcome] : branch.possible.map(({ outcome }) => outcome),
  );
  expect(
    outcomes.some(({ verdict, because }) => verdict === "undecided" && /through the chain C\d/.test(because)),
  ).toBe(true);
});

test("chains that lead to each other too deeply are undecided, not a stack overflow", () => {
  const depth = 20_000;
  const chains = Array.from({ length: depth }, (_, place) => place);
  const text = [
    ...["*mangle", ":PREROUTING ACCEPT [0:0]"],
    ...chains.map((place) => `:C${place} - [0:0]`),
    "-A PREROUTING -j C0",
    ...chains.slice(1).map((place) => `-A C${place - 1} -j C${place}`),
    `-A C${depth - 1} -j DROP`,
    "COMMIT",
  ];
  const a = parseSave(`${text.join("\n")}\n`, { family: 4 });
  const b = parseSave("*filter\n:INPUT DROP [0:0]\nCOMMIT\n", { family: 4 });
  expect(sameRules({ a, b, hostState })).toMatchObject({
    kind: "undecided",
    because: expect.stringContaining("too deep"),
  });
});
