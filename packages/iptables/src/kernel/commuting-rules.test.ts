import { parseSave, type Rule, ruleKey } from "@svcproxy/rules";
import { describe, expect, test } from "vitest";
import { commutes } from "./commuting-rules.ts";
import { compareChain } from "./compare-chain.ts";

function rules(...lines: readonly string[]): readonly Rule[] {
  const text = `*nat\n:X - [0:0]\n:A - [0:0]\n:B - [0:0]\n${lines.map((line) => `-A X ${line}\n`).join("")}COMMIT\n`;
  return parseSave(text, { family: 4 }).tables.flatMap(({ chains }) =>
    chains.flatMap(({ name, rules: own }) => (name === "X" ? own : [])),
  );
}

const keyed = (list: readonly Rule[]) => list.map((rule) => ({ rule, key: ruleKey(rule) }));

const HTTP = "-d 10.96.0.1/32 -p tcp -m tcp --dport 80 -j A";
const OTHER = "-d 10.96.0.2/32 -p tcp -m tcp --dport 80 -j B";
const UDP = "-d 10.96.0.1/32 -p udp -m udp --dport 80 -j B";
const ANYWHERE = "-p tcp -m tcp --dport 80 -j B";
const TAIL = "-m addrtype --dst-type LOCAL -j B";

describe("rules that no packet can meet both of may change places", () => {
  test.for([
    { name: "two addresses", a: [HTTP, OTHER], b: [OTHER, HTTP], same: true },
    { name: "two protocols", a: [HTTP, UDP], b: [UDP, HTTP], same: true },
    {
      name: "two ports of any address",
      a: [ANYWHERE, ANYWHERE.replace("80", "81")],
      b: [ANYWHERE.replace("80", "81"), ANYWHERE],
      same: true,
    },
    {
      name: "one place twice",
      a: [HTTP, HTTP.replace("-j A", "-j B")],
      b: [HTTP.replace("-j A", "-j B"), HTTP],
      same: false,
    },
    { name: "a port of any address and of one", a: [HTTP, ANYWHERE], b: [ANYWHERE, HTTP], same: false },
    { name: "with a rule for any packet behind them", a: [HTTP, OTHER, TAIL], b: [OTHER, HTTP, TAIL], same: true },
    { name: "and not with one between them", a: [HTTP, TAIL, OTHER], b: [OTHER, TAIL, HTTP], same: false },
    {
      name: "a range of ports is for any",
      a: [HTTP, "-p tcp -m tcp --dport 1:1000 -j B"],
      b: ["-p tcp -m tcp --dport 1:1000 -j B", HTTP],
      same: false,
    },
    {
      name: "a block of addresses is for any of its port",
      a: [HTTP, "-d 10.96.0.0/16 -p tcp -m tcp --dport 80 -j B"],
      b: ["-d 10.96.0.0/16 -p tcp -m tcp --dport 80 -j B", HTTP],
      same: false,
    },
    {
      name: "what is negated is for any",
      a: [HTTP, "! -d 10.96.0.9/32 -p tcp -m tcp --dport 80 -j B"],
      b: ["! -d 10.96.0.9/32 -p tcp -m tcp --dport 80 -j B", HTTP],
      same: false,
    },
  ])("$name: $same", ({ a, b, same }) => {
    expect(commutes(keyed(rules(...a)), keyed(rules(...b)))).toBe(same);
    expect(compareChain(rules(...a), rules(...b)).length === 0).toBe(same);
  });

  test("other rules are no reordering", () => {
    expect(compareChain(rules(HTTP, OTHER), rules(OTHER, HTTP, UDP)).map(({ kind }) => kind)).toContain("missing");
  });
});
