import { parseSave, type Rule, ruleKey } from "@svcproxy/rules";
import { expect, test } from "vitest";
import type { Hook } from "../desired-rules.ts";
import { type HookFinding, placeHooks } from "./place-hooks.ts";

const MASQUERADE = "-s 192.0.2.6/32 -j MASQUERADE";
const JUMP = "-j KUBE-POSTROUTING";
const OTHER = "-s 172.17.0.0/16 -j MASQUERADE";

function rulesFrom(lines: readonly string[]): readonly Rule[] {
  const text = `*nat\n:POSTROUTING ACCEPT [0:0]\n:KUBE-POSTROUTING - [0:0]\n${lines.map((line) => `-A POSTROUTING ${line}\n`).join("")}COMMIT\n`;
  return parseSave(text, { family: 4 }).tables[0]?.chains[0]?.rules ?? [];
}

const hooks = rulesFrom([JUMP, MASQUERADE]).map(
  (rule, index): Hook => ({
    table: "nat",
    chain: "POSTROUTING",
    placement: index === 0 ? "last" : "first",
    rule,
  }),
);

function findings(lines: readonly string[]): readonly HookFinding[] {
  const entries = rulesFrom(lines).map((rule, index) => ({
    ...{ rule, key: ruleKey(rule) },
    isOurs: lines[index] === MASQUERADE || lines[index]?.includes("KUBE") === true,
  }));
  return placeHooks(entries, { hooks, takes: () => false }).findings;
}

test.for([
  { name: "in place", lines: [MASQUERADE, JUMP], said: [] },
  { name: "in place, with another between", lines: [MASQUERADE, OTHER, JUMP], said: [] },
  {
    name: "the two swapped",
    lines: [JUMP, MASQUERADE],
    said: [{ kind: "moved", position: 1, plannedPosition: 2 }],
  },
  {
    name: "a jump with a test that the plan does not have",
    lines: [MASQUERADE, OTHER, `-p udp ${JUMP}`],
    said: [{ kind: "changed", position: 3 }],
  },
  {
    name: "a jump twice",
    lines: [MASQUERADE, JUMP, OTHER, JUMP],
    said: [{ kind: "duplicated", positions: [2, 4] }],
  },
  { name: "none", lines: [OTHER], said: [{ kind: "missing" }, { kind: "missing" }] },
  {
    name: "another before the one that is to be first",
    lines: [OTHER, MASQUERADE, JUMP],
    said: [{ kind: "foreignBefore", position: 1 }],
  },
])("$name", ({ lines, said }) => {
  expect(findings(lines)).toMatchObject(said);
});
