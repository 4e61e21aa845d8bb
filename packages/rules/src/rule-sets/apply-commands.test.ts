import { InputError } from "@svcproxy/topology";
import { expect, test } from "vitest";
import type { RuleSet } from "../rule-set.ts";
import { applyCommands } from "./apply-commands.ts";
import { formatSave } from "./format-restore.ts";
import { parseCommands } from "./parse-commands.ts";

const EMPTY: RuleSet = { family: 4, tables: [] };

function run(script: string): string {
  return formatSave(applyCommands(EMPTY, parseCommands(script))).replaceAll(" [0:0]", "");
}

test("commands build a table as the kernel does", () => {
  const script = `
    iptables -t nat -N A
    iptables -t nat -A A -j RETURN
    iptables -t nat -I A -s 10.0.0.1,10.0.0.2 -j ACCEPT   # one rule each, the last on top
    iptables -t nat -A PREROUTING -j A
    iptables -t nat -I A 3 -p tcp -j DROP
    iptables -t nat -R A 1 -s 10.0.0.3 -j ACCEPT
    iptables -t nat -D A -j RETURN
    iptables -t nat -P INPUT DROP
    iptables -t nat -L -nv --line-number
  `;
  expect(run(script)).toBe(
    `*nat
:PREROUTING ACCEPT
:INPUT DROP
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
:A -
-A PREROUTING -j A
-A A -s 10.0.0.3/32 -j ACCEPT
-A A -s 10.0.0.1/32 -j ACCEPT
-A A -p tcp -j DROP
COMMIT
`,
  );
});

test("the rule set that commands start from stays as it was", () => {
  const before = applyCommands(EMPTY, parseCommands("iptables -N A\niptables -A A -j DROP"));
  const copy = structuredClone(before);
  applyCommands(before, parseCommands("iptables -F A\niptables -X A\niptables -P INPUT DROP"));
  expect(before).toEqual(copy);
});

test.for([
  ["iptables -N A\niptables -N A", "CHAIN_EXISTS", 'chain "A" exists already'],
  ["iptables -N INPUT", "CHAIN_EXISTS", 'chain "INPUT" exists already'],
  ["iptables -A A -j DROP", "CHAIN_MISSING", 'there is no chain "A" in table filter'],
  ["iptables -A INPUT -j A", "CHAIN_MISSING", 'there is no chain "A" in table filter'],
  ["iptables -N A\niptables -t nat -A OUTPUT -j A", "CHAIN_MISSING", 'there is no chain "A" in table nat'],
  [`iptables -N ${"x".repeat(29)}`, "CHAIN_NAME", "has 29 bytes, 28 is the most"],
  ["iptables -N '-x'", "CHAIN_NAME", "may not begin with - or !"],
  ["iptables -N 'a b'", "CHAIN_NAME", "has a blank in it"],
  ["iptables -N DNAT", "CHAIN_NAME", "is the name of a target"],
  ["iptables -N A\niptables -A A -j DROP\niptables -X A", "CHAIN_IN_USE", 'chain "A" is not empty'],
  ["iptables -N A\niptables -A INPUT -j A\niptables -X A", "CHAIN_IN_USE", 'chain "A" is still used by "INPUT"'],
  ["iptables -X INPUT", "CHAIN_IN_USE", 'chain "INPUT" is built in'],
  ["iptables -D INPUT -j DROP", "RULE_MISSING", 'chain "INPUT" has no such rule'],
  ["iptables -D INPUT 1", "RULE_MISSING", 'chain "INPUT" has no rule 1'],
  ["iptables -I INPUT 2 -j DROP", "RULE_MISSING", 'chain "INPUT" has no rule 2'],
  ["iptables -R INPUT 1 -j DROP", "RULE_MISSING", 'chain "INPUT" has no rule 1'],
] as const)("%j is refused as %s", ([script, code, reason]) => {
  const commands = parseCommands(script);
  let thrown: unknown;
  try {
    applyCommands(EMPTY, commands);
  } catch (error) {
    thrown = error;
  }
  if (!(thrown instanceof InputError)) throw new Error("nothing was refused");
  expect(thrown.faults.map((fault) => [fault.code, fault.at?.line])).toEqual([[code, commands.length]]);
  expect(thrown.message).toContain(reason);
});
