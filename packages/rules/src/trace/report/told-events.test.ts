import { parseIpAddress, parseTopology } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { hostStateOf } from "../../host/host-state-of.ts";
import { parseSave } from "../../rule-sets/parse-save.ts";
import { tracePacket } from "../trace-packet.ts";
import { formatTrace } from "./format-trace.ts";
import { traceToJson } from "./trace-json.ts";

test("of chains that are jumped to twice each, what comes again and again is left out with a sentence", () => {
  const { topology } = parseTopology(Buffer.from("hosts: [{ name: a, address: 192.0.2.1 }]"), { file: "t" });
  const depth = 12;
  const chains = Array.from({ length: depth }, (_, index) => `:C${index} - [0:0]`);
  const jumps = Array.from({ length: depth - 1 }, (_, index) => `-A C${index} -j C${index + 1}\n`.repeat(2));
  const rules = parseSave(
    `*filter\n:INPUT ACCEPT [0:0]\n${chains.join("\n")}\n-A INPUT -j C0\n${jumps.join("")}-A C${depth - 1} -p udp -j DROP\nCOMMIT\n`,
    { family: 4 },
  );
  const [from, to] = [parseIpAddress("192.0.2.9"), parseIpAddress("192.0.2.1")];
  if (from === undefined || to === undefined) throw new TypeError("no address");
  const trace = tracePacket({ rules, hostState: hostStateOf(topology, { host: "a" }), packet: { from, to, port: 80 } });
  const text = formatTrace(trace);
  expect(text.split("\n").length).toBeLessThan(5000);
  expect(text).toMatch(/ [\d,]+ steps are left out here: rules lead to the same chains again and\s+again\./);
  // Its end is told all the same.
  expect(text).toContain("end of the chain: its policy is ACCEPT");
  expect(JSON.stringify(traceToJson(trace)).length).toBeLessThan(500_000);
});
