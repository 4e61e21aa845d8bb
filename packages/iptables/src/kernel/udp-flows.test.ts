import { parseConntrackEntry } from "@svcproxy/host";
import { expect, test } from "vitest";
import { planOf, rulesOf } from "./testing/backend-contract.ts";
import { frontendsOf, isStale } from "./udp-flows.ts";

const flow = (destination: string, port: number, server: string, serverPort: number) =>
  `udp      17 29 src=10.9.0.1 dst=${destination} sport=40000 dport=${port} [UNREPLIED] src=${server} dst=10.9.0.1 sport=${serverPort} dport=40000 mark=0 use=1`;

const served = (...endpoints: string[]) => frontendsOf(rulesOf(planOf({ endpoints }))[0]);

test("the frontends of a plan are read from its rules", () => {
  expect(served("a", "b").endpoints).toEqual(
    new Map([["10.100.0.2:53", new Set(["10.5.75.2:3000", "10.5.75.3:3000"])]]),
  );
});

test.for([
  {
    name: "an endpoint that stays",
    line: flow("10.100.0.2", 53, "10.5.75.2", 3000),
    before: ["a", "b"],
    after: ["a"],
    stale: false,
  },
  {
    name: "an endpoint that is gone",
    line: flow("10.100.0.2", 53, "10.5.75.3", 3000),
    before: ["a", "b"],
    after: ["a"],
    stale: true,
  },
  {
    name: "one that was gone before we looked",
    line: flow("10.100.0.2", 53, "10.5.75.3", 3000),
    before: ["a"],
    after: ["a"],
    stale: true,
  },
  {
    name: "a frontend that gained its first endpoint",
    line: flow("10.100.0.2", 53, "10.100.0.2", 53),
    before: [],
    after: ["a"],
    stale: true,
  },
  {
    name: "a frontend that still has none",
    line: flow("10.100.0.2", 53, "10.100.0.2", 53),
    before: [],
    after: [],
    stale: false,
  },
  {
    name: "another port of the VIP",
    line: flow("10.100.0.2", 54, "10.100.0.2", 54),
    before: ["a"],
    after: ["b"],
    stale: false,
  },
  { name: "somebody else's flow", line: flow("8.8.8.8", 53, "8.8.8.8", 53), before: ["a"], after: ["b"], stale: false },
])("$name: $stale", ({ line, before, after, stale }) => {
  const parsed = parseConntrackEntry(line);
  if (parsed === undefined) throw new Error("not read");
  expect(isStale(parsed, { before: served(...before), after: served(...after), isHostAddress: () => false })).toBe(
    stale,
  );
});

test("flows of a service that is gone are stale where its endpoints answer them", () => {
  const gone = { before: served("a"), after: frontendsOf(undefined), isHostAddress: () => false };
  const [ours, theirs] = ["10.5.75.2", "10.7.7.7"].map((server) =>
    parseConntrackEntry(flow("10.100.0.2", 53, server, 3000)),
  );
  if (ours === undefined || theirs === undefined) throw new Error("not read");
  expect([isStale(ours, gone), isStale(theirs, gone)]).toEqual([true, false]);
});
