import { exampleTopology, parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { hostStateOf } from "../../host/host-state-of.ts";
import { parseSave } from "../../rule-sets/parse-save.ts";
import { DOCUMENT_RULES } from "../../testing/document-rules.ts";
import { tracePacket } from "../trace-packet.ts";
import { compareExpectation, type Expectation } from "./compare-expectation.ts";

/** A packet of a pod to a VIP with two endpoints: the pod itself, where it is masqueraded, and another, where it is not. */
function traceThrough(rules: string) {
  const [from, to] = [parseIpAddress("10.5.75.2"), parseIpAddress("10.100.100.1")];
  if (from === undefined || to === undefined) throw new TypeError("no address");
  return tracePacket({
    rules: parseSave(rules, { family: 4 }),
    hostState: hostStateOf(exampleTopology().topology, { host: "cloudos1" }),
    packet: { from, to, port: 7070 },
  });
}

const BOTH = ["10.5.75.2:3000", "10.5.88.2:3000"];

const ROWS: readonly { readonly name: string; readonly expected: Expectation; readonly differs: readonly string[] }[] =
  [
    { name: "what is left out may be anything", expected: {}, differs: [] },
    {
      name: "all is as expected, endpoints in any order and more than once",
      expected: { verdict: "accepted", endpoints: [...BOTH.toReversed(), ...BOTH] },
      differs: [],
    },
    { name: "another verdict", expected: { verdict: "refused" }, differs: ["verdict is accepted, not refused"] },
    {
      name: "one endpoint of two",
      expected: { endpoints: ["10.5.75.2:3000"] },
      differs: ["endpoints are 10.5.75.2:3000, 10.5.88.2:3000, not 10.5.75.2:3000"],
    },
    {
      name: "no endpoint, and every difference is told",
      expected: { verdict: "dropped", endpoints: [], masqueraded: false },
      differs: [
        "verdict is accepted, not dropped",
        "endpoints are 10.5.75.2:3000, 10.5.88.2:3000, not none",
        "masqueraded is false or true, not false",
      ],
    },
  ];

test.for(ROWS)("a trace against what was expected: $name", ({ expected, differs }) => {
  expect(compareExpectation(traceThrough(DOCUMENT_RULES), expected)).toEqual({ differences: differs, undecided: [] });
});

test.for<{
  readonly expected: Expectation;
  readonly differences?: readonly unknown[];
  readonly undecided?: readonly unknown[];
}>([
  { expected: { verdict: "undecided" } },
  { expected: { verdict: "refused" }, differences: ["verdict is dropped or untouched, not refused"] },
  { expected: { verdict: "dropped" }, undecided: ["verdict is dropped or untouched, not dropped"] },
  { expected: { endpoints: [] }, undecided: ["endpoints are 10.100.100.1:7070, not none"] },
  { expected: { endpoints: ["10.5.75.2:3000"] }, differences: ["endpoints are 10.100.100.1:7070, not 10.5.75.2:3000"] },
])(
  "where a question is open, what it may come to is compared: $expected",
  ({ expected, differences = [], undecided = [] }) => {
    const rule = "-A FORWARD -m string --string x --algo bm -j DROP";
    const trace = traceThrough(`*filter\n:FORWARD ACCEPT [0:0]\n${rule}\nCOMMIT\n`);
    expect(compareExpectation(trace, expected)).toEqual({ differences, undecided });
  },
);

test("an endpoint that one answer leads to and the other does not is neither expected nor a difference", () => {
  const open = DOCUMENT_RULES.replace(
    "*nat",
    "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -d 10.5.88.2/32 -m string --string x --algo bm -j DROP\nCOMMIT\n*nat",
  );
  expect(open).not.toBe(DOCUMENT_RULES);
  const trace = traceThrough(open);
  expect(compareExpectation(trace, { endpoints: BOTH }).differences).toEqual([]);
  expect(compareExpectation(trace, { endpoints: ["10.5.75.2:3000"] }).differences).toEqual([]);
  expect(compareExpectation(trace, { endpoints: ["10.5.88.2:3000"] }).differences).toHaveLength(1);
});
