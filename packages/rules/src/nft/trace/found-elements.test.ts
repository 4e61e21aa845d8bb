import { readFileSync } from "node:fs";
import { parseIpAddress, parseTopology } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { hostStateOf } from "../../host/host-state-of.ts";
import { createTracer } from "../../trace/trace-packet.ts";
import { formatSetElement } from "../format-element.ts";
import { parseNft } from "../parse-nft.ts";
import type { FoundElement } from "./asked.ts";

const TABLE = `table ip own {
	map services {
		type ipv4_addr . inet_proto . inet_service : classid
		counter
		elements = { 10.100.100.1 . tcp . 7070 counter packets 7 bytes 420 comment "default/service1" : 1:1,
			     10.100.100.2 . tcp . 6060 counter packets 0 bytes 0 comment "default/service2" : 2:1 }
	}
	map endpoints {
		typeof meta priority . numgen random mod 65536 : ip daddr . tcp dport
		elements = { 1:1 . 0 counter packets 3 bytes 180 : 10.5.75.2 . 3000, 1:1 . 1 : 10.5.88.2 . 3000 }
	}
	set pods {
		type ipv4_addr
		flags interval
		elements = { 10.5.75.0/24, 10.5.99.3-10.5.99.9 }
	}
	chain prerouting {
		type nat hook prerouting priority -105; policy accept;
		ip saddr @pods meta priority set ip daddr . meta l4proto . th dport map @services
		meta l4proto tcp dnat ip to meta priority . numgen random mod 2 map @endpoints
	}
}`;

test("a tracer tells which elements a packet's keys are found at, with what they had counted", () => {
  const file = new URL("../../../../../examples/cloudos.yaml", import.meta.url);
  const { topology } = parseTopology(readFileSync(file), { file: "cloudos.yaml" });
  const found: FoundElement[] = [];
  const tracer = createTracer({
    rules: { family: 4, iptables: [], nft: parseNft(TABLE), unread: [] },
    hostState: hostStateOf(topology, { host: "cloudos1" }),
    onElement: (one) => found.push(one),
  });
  const [from, to] = [parseIpAddress("10.5.75.2"), parseIpAddress("10.100.100.1")];
  if (from === undefined || to === undefined) throw new TypeError("no addresses");
  tracer.trace({ from, to, port: 7070 });
  const told = found.map(({ set, element }) => [set.name, formatSetElement(set, element), element.counters?.packets]);
  expect(new Set(told.map((one) => JSON.stringify(one)))).toEqual(
    new Set(
      [
        ["pods", "10.5.75.0/24", undefined],
        ["services", "10.100.100.1 . tcp . 7070 : 1:1", 7],
        ["endpoints", "1:1 . 0 : 10.5.75.2 . 3000", 3],
        ["endpoints", "1:1 . 1 : 10.5.88.2 . 3000", undefined],
      ].map((one) => JSON.stringify(one)),
    ),
  );
  expect(found.find(({ set }) => set.name === "services")?.element.comment).toBe("default/service1");
});

test.for([
  { types: ["ipv4_addr"], part: { from: "10.0.0.0", to: "10.255.255.255" }, text: "10.0.0.0/8" },
  { types: ["ipv4_addr"], part: { from: "0.0.0.0", to: "255.255.255.255" }, text: "0.0.0.0/0" },
  { types: ["ipv6_addr"], part: { from: "fd00::", to: "fd00::ffff" }, text: "fd00::/112" },
  { types: ["ipv4_addr"], part: { from: "10.0.0.1", to: "10.0.0.2" }, text: "10.0.0.1-10.0.0.2" },
  { types: ["inet_proto"], part: 132, text: "sctp" },
  { types: ["mark"], part: 0x4000, text: "0x00004000" },
  { types: ["classid"], part: 0x0001_000a, text: "1:a" },
])("an element is printed as nft prints it: $text", ({ types, part, text }) => {
  expect(formatSetElement({ keyTypes: types, dataTypes: [] }, { key: [part] })).toBe(text);
});
