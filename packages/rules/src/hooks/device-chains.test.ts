import { parseIpAddress } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { proveRules } from "../prove/prove-rules.ts";
import { sameRules } from "../prove/same/same-rules.ts";
import { formatSave } from "../rule-sets/format-restore.ts";
import { readRules } from "../rule-sets/read-rules.ts";
import { documentFixture } from "../testing/prove-fixtures.ts";
import { tracePacket } from "../trace/trace-packet.ts";

const table = (family: string, chain: string, rules: string) =>
  `table ${family} t {\n\tchain c {\n\t\t${chain}\n${rules}\t}\n}\n`;
const INGRESS = 'type filter hook ingress device "eth0" priority filter; policy accept;';
const FORWARD = "type filter hook forward priority filter; policy accept;";

describe("chains at devices and bridges are not followed, and said so where they may matter", () => {
  const fixture = documentFixture();
  const beside = (listing: string) =>
    readRules([
      { file: "a", text: formatSave(fixture.rules) },
      { file: "b", text: listing },
    ]).rules(4);

  test.for([
    ["netdev", INGRESS, "\t\ttcp dport 34211 drop\n", true],
    ["netdev", INGRESS.replace("accept", "drop"), "", true],
    ["inet", INGRESS, "\t\tmeta mark set 0x1\n", true],
    ["bridge", FORWARD, "\t\tip daddr 10.5.75.2 drop\n", true],
    ["netdev", INGRESS, "\t\ttcp dport 34211 counter packets 0 bytes 0\n", false],
    ["bridge", FORWARD, "", false],
    ["arp", "type filter hook input priority filter; policy accept;", "\t\tarp operation request drop\n", false],
  ] as const)("table %s, %s: %s", ([family, chain, rules, matters]) => {
    const host = beside(table(family, chain, rules));
    expect(host.unread.map((unread) => unread.table)).toEqual(matters ? [`${family} t`] : []);
    const { holds, claims } = proveRules({ ...fixture, rules: host });
    expect(holds).toBe(!matters);
    expect(claims.some(({ status }) => status === "broken")).toBe(false);
    const [from, to] = [parseIpAddress("10.5.75.2"), parseIpAddress("10.100.100.1")];
    if (from === undefined || to === undefined) throw new TypeError("no address");
    const [branch] = tracePacket({
      hostState: fixture.hostState,
      rules: host,
      packet: { from, to, port: 7070 },
    }).branches;
    expect(branch?.kind === "decided" && branch.outcome.verdict).toBe(matters ? "undecided" : "accepted");
  });

  test("make no difference where two rule sets have the same of them", () => {
    const one = beside(table("netdev", INGRESS, "\t\ttcp dport 34211 drop\n"));
    const plain = beside("flush ruleset\n");
    const { hostState } = fixture;
    const other = { ...one, iptables: [] };
    expect(sameRules({ a: one, b: one, hostState }).kind).toBe("same");
    expect(sameRules({ a: one, b: other, hostState }).kind).toBe("different");
    expect(sameRules({ a: one, b: plain, hostState }).kind).toBe("undecided");
  });
});
