import { hostStateOf, parseSave, tracePacket } from "@svcproxy/rules";
import { exampleTopology, type IpAddress, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { lastHops } from "./last-hops.ts";

const { topology } = exampleTopology();

function hops(rules: string): readonly string[] {
  return lastHops(
    tracePacket({
      rules: parseSave(rules, { family: 4 }),
      hostState: hostStateOf(topology, { host: "cloudos1" }),
      plan: planHost(topology, { host: "cloudos1" }),
      packet: { from: "10.5.75.1" as IpAddress, to: "10.5.75.2" as IpAddress, port: 3000, sourcePort: 40000 },
    }),
  );
}

test("the hooks and rules at the end of a way are told, and where it goes", () => {
  expect(hops("*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 10.9.9.9 -j DROP\n-A OUTPUT -p tcp\nCOMMIT\n")).toEqual([
    "OUTPUT: 10.5.75.1:40000 to 10.5.75.2:3000",
    "rule 2 of filter OUTPUT: -p tcp",
    "POSTROUTING: 10.5.75.1:40000 to 10.5.75.2:3000",
    expect.stringContaining("cni0"),
  ]);
});

test("of a long way only the end, with how much went before", () => {
  const many = "-A OUTPUT -p tcp\n".repeat(10);
  const told = hops(`*filter\n:OUTPUT ACCEPT [0:0]\n${many}COMMIT\n`);
  expect(told).toHaveLength(8);
  expect(told[0]).toBe("… 6 before");
  expect(told[1]).toBe("rule 6 of filter OUTPUT: -p tcp");
});
