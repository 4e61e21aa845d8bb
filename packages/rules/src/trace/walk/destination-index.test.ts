import { readFileSync } from "node:fs";
import { parseIpAddress, parseTopology } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { hostStateOf } from "../../host/host-state-of.ts";
import { parseSave } from "../../rule-sets/parse-save.ts";
import { type TraceJson, traceToJson } from "../report/trace-json.ts";
import { createTracer } from "../trace-packet.ts";

const { topology } = parseTopology(readFileSync(new URL("../../../../../examples/cloudos.yaml", import.meta.url)), {
  file: "cloudos.yaml",
});
const VIPS = Array.from({ length: 200 }, (_, index) => `10.100.${index >> 6}.${index & 63}`);
/** Rules for one address each, and between them some that any packet is asked about: by chance, by mark, and two for one address. */
const CHAIN = VIPS.flatMap((vip, index) => [
  `-A VIPS -d ${vip}/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.5.75.2:${3000 + index}`,
  ...(index % 50 === 7 ? ["-A VIPS -m statistic --mode random --probability 0.25000000000 -j RETURN"] : []),
  ...(index % 50 === 9
    ? ["-A VIPS -m mark --mark 0x1/0x1 -j DROP", "-A VIPS ! -d 10.100.0.1/32 -p udp -j ACCEPT"]
    : []),
  ...(index === 150 ? ["-A VIPS -d 10.100.0.3/32 -j DNAT --to-destination 10.5.75.3:99"] : []),
]);
const RULES = [
  "*nat",
  ":PREROUTING ACCEPT [0:0]",
  ":OUTPUT ACCEPT [0:0]",
  ":POSTROUTING ACCEPT [0:0]",
  ":VIPS - [0:0]",
];
const SAVE = [...RULES, "-A PREROUTING -j VIPS", ...CHAIN, "COMMIT", ""].join("\n");

function tracerThat(foldMissesAfter: number) {
  return createTracer({
    rules: parseSave(SAVE, { family: 4 }),
    hostState: hostStateOf(topology, { host: "cloudos1" }),
    foldMissesAfter,
  });
}

/** Each branch with the rules that were asked on its way, those that are counted only as well. */
function asked({ branches }: TraceJson): unknown {
  return branches.map(({ steps, reply: _reply, ...branch }) => ({
    ...branch,
    asked: steps.flatMap((step) => {
      if (step.kind === "rule") return [`${step.chain} ${step.number} ${step.matched}`];
      if (step.kind !== "misses") return [];
      return Array.from({ length: step.last - step.first + 1 }, (_, at) => `${step.chain} ${step.first + at} false`);
    }),
  }));
}

test.for(["10.100.0.0", "10.100.0.3", "10.100.1.1", "10.100.3.7", "10.100.9.9"])(
  "a packet to %s goes the same way whether misses are passed over or asked one by one",
  (to) => {
    const [from, destination] = [parseIpAddress("10.5.75.2"), parseIpAddress(to)];
    if (from === undefined || destination === undefined) throw new TypeError("no addresses");
    for (const port of [80, 99]) {
      const request = { from, to: destination, port, protocol: "tcp" };
      // Where all misses are told, each rule is asked.
      const [folded, one] = [3, Number.POSITIVE_INFINITY].map((fold) => traceToJson(tracerThat(fold).trace(request)));
      if (folded === undefined || one === undefined) throw new TypeError("no trace");
      expect(asked(folded)).toEqual(asked(one));
    }
  },
);
