import { parseIpAddress } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { planOf, rulesOf } from "./testing/backend-contract.ts";
import { frontendsOf, isStale, parseUdpFlow } from "./udp-flows.ts";

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
  const parsed = parseUdpFlow(line);
  if (parsed === undefined) throw new Error("not read");
  expect(isStale(parsed, { before: served(...before), after: served(...after), isHostAddress: () => false })).toBe(
    stale,
  );
});

test("flows of a service that is gone are stale where its endpoints answer them", () => {
  const gone = { before: served("a"), after: frontendsOf(undefined), isHostAddress: () => false };
  const [ours, theirs] = ["10.5.75.2", "10.7.7.7"].map((server) => parseUdpFlow(flow("10.100.0.2", 53, server, 3000)));
  if (ours === undefined || theirs === undefined) throw new Error("not read");
  expect([isStale(ours, gone), isStale(theirs, gone)]).toEqual([true, false]);
});

test.for([
  "",
  "tcp      6 29 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1",
  "udp 17 src=x",
])("what is no UDP flow is passed over: %s", (line) => {
  expect(parseUdpFlow(line)).toBeUndefined();
});

test("IPv6 flows are read too", () => {
  const line =
    "udp      17 60 src=fd00::2 dst=fd00::1 sport=1001 dport=53 src=fd00::9 dst=fd00::2 sport=5353 dport=1001 mark=0 use=1";
  expect(parseUdpFlow(line)).toEqual({
    ...{
      client: parseIpAddress("fd00::2"),
      clientPort: 1001,
      destination: parseIpAddress("fd00::1"),
      destinationPort: 53,
    },
    ...{ server: parseIpAddress("fd00::9"), serverPort: 5353 },
  });
});
