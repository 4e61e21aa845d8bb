import { exampleTopology, parseIpAddress } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { hostStateOf } from "../../host/host-state-of.ts";
import { parseSave } from "../../rule-sets/parse-save.ts";
import { DOCUMENT_RULES } from "../../testing/document-rules.ts";
import type { TraceRequest } from "../packet/request.ts";
import { tracePacket } from "../trace-packet.ts";
import { formatTrace } from "./format-trace.ts";
import { drawTrace } from "./trace-graph.ts";

const { topology } = exampleTopology();

function traceOf(text: string, to: string, port: number, more: Partial<TraceRequest> = {}) {
  const [from, destination] = [parseIpAddress("10.5.75.2"), parseIpAddress(to)];
  if (from === undefined || destination === undefined) throw new TypeError("no address");
  return tracePacket({
    rules: parseSave(text, { family: 4 }),
    hostState: hostStateOf(topology, { host: "cloudos1" }),
    packet: { from, to: destination, port, ...more },
  });
}

describe("a trace for people", () => {
  const text = formatTrace(traceOf(DOCUMENT_RULES, "10.100.100.1", 7070), { hostName: "cloudos1" });

  test("fits 80 columns", () => {
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test("fits 80 columns where the answer's way is told rule by rule", () => {
    const wide = [1, 2, 3, 4, 5, 6, 7, 8, 9]
      .map((digit) => `-A FORWARD -m comment --comment "${"x".repeat(20 + digit)}" -m mark --mark 0x40 -j ACCEPT\n`)
      .join("");
    const told = formatTrace(traceOf(`*filter\n:FORWARD ACCEPT [0:0]\n${wide}COMMIT\n`, "10.5.88.2", 3000));
    expect(told).toContain("The answer");
    expect(Math.max(...told.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test("says why an established connection's packet meets no rule of nat", () => {
    const told = formatTrace(traceOf(DOCUMENT_RULES, "10.100.100.1", 7070, { state: "ESTABLISHED" }));
    expect(told.replaceAll("\n", " ")).toContain("Only a connection's first packet asks the nat table");
  });

  test("says first what may happen, then rule by rule how", () => {
    expect(text).toMatch(
      /^The first packet of a new TCP connection from 10\.5\.75\.2 to 10\.100\.100\.1:7070, on\ncloudos1\./,
    );
    expect(text).toContain("     50 %  accepted at 10.5.75.2:3000 as 10.5.75.1 (masqueraded)");
    expect(text.indexOf("50 %")).toBeLessThan(text.indexOf("nat PREROUTING"));
    expect(text).toContain("> mark 0x0 becomes 0x4000");
    expect(text).toContain("> destination 10.100.100.1:7070 becomes 10.5.75.2:3000");
    expect(text).toContain("> source 10.5.75.2 becomes 10.5.75.1");
    expect(text).toContain("The answer: it comes back the same way");
  });

  test("tells what branches have in common once", () => {
    expect(text.match(/-d 10\.100\.100\.1\/32 -p tcp -m tcp --dport 7070 -j KUBE-SVC-1/g)).toHaveLength(1);
  });

  test("folds long runs of rules that did not match", () => {
    const others = Array.from(
      { length: 9998 },
      (_, index) => `-A KUBE-SERVICES -d 10.101.${index >> 8}.${index & 255} -j KUBE-SVC-2\n`,
    );
    const many = DOCUMENT_RULES.replace(
      "-A KUBE-SERVICES -d 10.100.100.1/32",
      `${others.join("")}-A KUBE-SERVICES -d 10.100.100.1/32`,
    );
    const folded = formatTrace(traceOf(many, "10.100.100.1", 7070));
    expect(folded).toContain("… 9,998 rules of KUBE-SERVICES did not match");
    expect(folded.split("\n").length).toBeLessThan(80);
  });

  test("makes visible what a rule file brings along", () => {
    const evil = DOCUMENT_RULES.replaceAll("KUBE-SVC-1", "KUBE-\u001b[2J");
    expect(formatTrace(traceOf(evil, "10.100.100.1", 7070))).not.toContain("\u001b");
  });
});

const UNSURE = `*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -m time --timestart 09:00:00 -j DROP
COMMIT
*filter
:FORWARD DROP [0:0]
-A FORWARD -m bpf --bytecode "1,6 0 0 0" -j ACCEPT
COMMIT
`;

test("what is not decided is told once, and with every answer that leads to an outcome", () => {
  const text = formatTrace(traceOf(UNSURE, "10.5.88.2", 3000)).replace(/\n */g, " ");
  expect(text).toContain("not decided: rule 1 of raw PREROUTING: `-m time --timestart 09:00:00` is not understood");
  expect(text).toContain("if rule 1 of raw PREROUTING does not match, and rule 1 of filter FORWARD matches");
});

test("outcomes that differ in their mark only are told apart", () => {
  const marking =
    "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m time --timestart 09:00 -j MARK --set-mark 7\nCOMMIT\n";
  const text = formatTrace(traceOf(marking, "10.5.88.2", 3000)).replace(/\n */g, " ");
  expect(text).toContain("with mark 0x7, if rule 1 of mangle PREROUTING matches");
});

test("a chance that is not a plain fraction is told in per cent, too", () => {
  const third = DOCUMENT_RULES.replaceAll("--probability 0.5", "--probability 0.33333");
  const text = formatTrace(traceOf(third, "10.100.100.1", 7070));
  expect(text.replace(/\n */g, " ")).toMatch(/yes, by a chance of \d+\/\d+ \(33\.333 %\)/);
});

test("a chain's name that is told in a reason cannot forge a line", () => {
  const loop =
    "*mangle\n:PREROUTING ACCEPT [0:0]\n:A\u001b[2J - [0:0]\n-A PREROUTING -j A\u001b[2J\n-A A\u001b[2J -j A\u001b[2J\nCOMMIT\n";
  const trace = traceOf(loop, "10.100.100.1", 7070);
  for (const text of [formatTrace(trace), drawTrace(trace, "dot"), drawTrace(trace, "mermaid")]) {
    expect(text).toContain("leads back to itself");
    expect(text).not.toContain("\u001b");
  }
});

test("mermaid reads no directive, comment or entity out of a rule's comment", () => {
  const hostile = `*nat\n:PREROUTING ACCEPT [0:0]\n:A - [0:0]\n-A PREROUTING -m comment --comment "%%{init: {}}%% &lt;b&gt; #quot;" -j A\n-A A -j DNAT --to-destination 10.5.75.3:80\nCOMMIT\n`;
  const picture = drawTrace(traceOf(hostile, "10.100.100.1", 7070), "mermaid");
  expect(picture).toContain("#37;#37;{init: {}}#37;#37; #amp;lt;b#amp;gt; #35;quot;");
});

test.for(["mermaid", "dot"] as const)("a %s picture has a node for each end and an edge for each chance", (format) => {
  const picture = drawTrace(traceOf(DOCUMENT_RULES, "10.100.100.1", 7070), format);
  expect(picture).toContain("accepted at 10.5.75.2:3000");
  expect(picture).toContain("accepted at 10.5.88.2:3000");
  expect(picture.match(/50 %/g)).toHaveLength(2);
  for (const line of picture.split("\n")) expect((line.match(/(?<!\\)"/g) ?? []).length % 2, line).toBe(0);
});
