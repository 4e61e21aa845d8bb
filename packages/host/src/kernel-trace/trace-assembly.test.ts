import { expect, test } from "vitest";
import { parseRuleHandles } from "./rule-handles.ts";
import { TraceAssembly } from "./trace-assembly.ts";
import { parseTraceLine } from "./trace-line.ts";

/** As nft 1.0.6 prints them: the host's own connection by `lo`, which comes in again under another number. */
const LINES = `
trace id dbad0e69 inet svcproxy-trace mark-outgoing packet: oif "lo" ip saddr 10.1.1.1 ip daddr 10.9.9.9 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 35647 ip protocol tcp ip length 60 tcp sport 56829 tcp dport 80 tcp flags == syn tcp window 65495
trace id dbad0e69 inet svcproxy-trace mark-outgoing unknown rule handle 9 (verdict continue)
trace id dbad0e69 inet svcproxy-trace mark-outgoing policy accept
trace id dbad0e69 inet svcproxy-trace spare-outgoing packet: oif "lo" ip saddr 10.1.1.1 ip daddr 10.9.9.9 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 35647 ip protocol tcp ip length 60 tcp sport 56829 tcp dport 80
trace id dbad0e69 inet svcproxy-trace spare-outgoing policy accept
trace id dbad0e69 ip nat OUTPUT packet: oif "lo" ip saddr 10.1.1.1 ip daddr 10.9.9.9 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 35647 ip length 60 tcp sport 56829 tcp dport 80
trace id dbad0e69 ip nat OUTPUT rule meta l4proto tcp ip daddr 10.9.9.9  counter packets 0 bytes 0 dnat to 10.1.1.1 # handle 7 (verdict accept)
trace id dbad0e69 ip filter OUTPUT packet: oif "lo" ip saddr 10.1.1.1 ip daddr 10.1.1.1 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 35647 ip length 60 tcp sport 56829 tcp dport 80
trace id dbad0e69 ip filter OUTPUT policy accept
trace id dbad0e69 inet svcproxy-trace leaves packet: oif "lo" ip saddr 10.1.1.1 ip daddr 10.1.1.1 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 35647 ip protocol tcp ip length 60 tcp sport 56829 tcp dport 80
trace id dbad0e69 inet svcproxy-trace leaves policy accept
trace id 7206fda1 inet svcproxy-trace mark-incoming packet: iif "lo" @ll,0,112 0x800 ip saddr 10.1.1.1 ip daddr 10.1.1.1 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 35647 ip protocol tcp ip length 60 tcp sport 56829 tcp dport 80
trace id 7206fda1 inet svcproxy-trace mark-incoming policy accept
trace id 7206fda1 ip mangle INPUT packet: iif "lo" @ll,0,112 0x800 ip saddr 10.1.1.1 ip daddr 10.1.1.1 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 35647 ip length 60 tcp sport 56829 tcp dport 80
trace id 7206fda1 ip mangle INPUT policy drop`;

const LISTING = `table ip nat { # handle 1
	chain OUTPUT { # handle 1
		type nat hook output priority -100; policy accept;
		udp dport 53 comment "# handle 7" # handle 5
		ip saddr { 10.0.0.1, 10.0.0.2,
			   10.0.0.3 } accept # handle 6
		meta l4proto tcp ip daddr 10.9.9.9  counter packets 2 bytes 120 dnat to 10.1.1.1 # handle 7
	}
}
`;

function assemble(lines: string) {
  const assembly = new TraceAssembly(parseRuleHandles(LISTING));
  for (const text of lines.split("\n")) {
    const line = parseTraceLine(text);
    if (line !== undefined) assembly.take(line);
  }
  return assembly.finish();
}

test("a packet is one from its mark to its end, also where it comes in again; rules have their place in the chain", () => {
  const [packet, ...others] = assemble(LINES);
  expect(others).toEqual([]);
  expect(packet?.header).toEqual({
    ...{ outInterface: "lo", source: "10.1.1.1", destination: "10.9.9.9" },
    ...{ sourcePort: 56829, destinationPort: 80 },
  });
  expect(
    packet?.steps.map((step) => ("chain" in step ? `${step.kind} ${step.table} ${step.chain}` : step.kind)),
  ).toEqual([
    "chain ip nat OUTPUT",
    "rule ip nat OUTPUT",
    "chain ip filter OUTPUT",
    "policy ip filter OUTPUT",
    "left",
    "chain ip mangle INPUT",
    "policy ip mangle INPUT",
  ]);
  expect(packet?.steps[1]).toMatchObject({
    number: 3,
    verdict: "accept",
    text: expect.stringMatching(/dnat to 10\.1\.1\.1$/),
  });
});

test("what belongs to a known connection is not shown: its mark is taken off before it comes further", () => {
  expect(assemble(LINES.split("\n").slice(0, 4).join("\n"))).toEqual([]);
});

test("two packets whose lines come mixed are two", () => {
  const other = LINES.replaceAll("dbad0e69", "aaaaaaaa")
    .replaceAll("7206fda1", "bbbbbbbb")
    .replaceAll("35647", "35648");
  const [one, two] = [LINES, other].map((text) => text.split("\n"));
  const mixed = (one ?? []).flatMap((line, index) => [line, two?.[index] ?? ""]);
  expect(assemble(mixed.join("\n")).map(({ steps }) => steps.length)).toEqual([7, 7]);
});

test.for([
  {
    line: "trace id 1 ip nat X rule ip saddr 1.2.3.4 jump Y # handle 3 (verdict jump Y)",
    is: { verdict: "jump Y", handle: 3 },
  },
  {
    line: 'trace id 1 ip nat X rule log prefix "(verdict drop)" # handle 3 (verdict continue)',
    is: { verdict: "continue" },
  },
  { line: "trace id 1 ip6 filter X policy drop meta mark 0x00004000", is: { kind: "policy", verdict: "drop" } },
  { line: "trace id 1 ip nat X verdict return", is: undefined },
  { line: "something else", is: undefined },
])("reads $line", ({ line, is }) => {
  const read = parseTraceLine(line);
  if (is === undefined) expect(read).toBeUndefined();
  else expect(read).toMatchObject(is);
});
