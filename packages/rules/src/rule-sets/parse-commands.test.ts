import { InputError } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { formatCommands } from "../text/format-commands.ts";
import { parseCommands } from "./parse-commands.ts";

/** The founding document's spelling must come out as it went in. */
test.for([
  "iptables -t nat -N KUBE-SERVICES",
  "iptables -t nat -A KUBE-MARK-MASQ -j MARK --set-mark 0x4000",
  "iptables -t nat -A KUBE-POSTROUTING -m mark --mark 0x4000 -j MASQUERADE",
  "iptables -t nat -A KUBE-SERVICES -d 10.100.100.1 -p tcp -m tcp --dport 7070 -j KUBE-SVC-1",
  "iptables -t nat -A KUBE-SVC-1 -m statistic --mode random --probability 0.5 -j KUBE-SEP-os1my1",
  "iptables -t nat -A KUBE-SEP-os1my1 -p tcp -m tcp -j DNAT --to-destination 10.5.75.2:3000",
  "iptables -t nat -I POSTROUTING 1 -s 192.168.1.6 -j MASQUERADE",
  "iptables -t nat -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
  "iptables -t mangle -A A -j MARK --or-mark 0x4000",
  "iptables -t mangle -A A -j MARK --xor-mark 0x4000",
  "iptables -t mangle -A A -j MARK --and-mark 0xffffbfff",
  "iptables -t mangle -A A -j MARK --set-xmark 0x1/0x3",
  "iptables -t filter -A A -m mark ! --mark 0x4000/0x4000 -j RETURN",
  'iptables -t filter -A A -m comment --comment "ns/svc: a b" -j ACCEPT',
  "iptables -t filter -A A -m comment --comment 'costs $5' -j ACCEPT",
  "iptables -t nat -D A 3",
  "iptables -t nat -R A 3 -j RETURN",
  "iptables -t nat -F",
  "iptables -t nat -X A",
  "iptables -t filter -P INPUT DROP",
])("%s", (line) => {
  expect(formatCommands(parseCommands(line), { family: 4 })).toBe(`${line}\n`);
});

test.for([
  ["sudo iptables -w 5 -A INPUT -t nat -j ACCEPT", "iptables -t nat -A INPUT -j ACCEPT"],
  [
    "/usr/sbin/iptables-nft --append INPUT --source 10.0.0.1 --jump ACCEPT",
    "iptables -t filter -A INPUT -s 10.0.0.1 -j ACCEPT",
  ],
  ["iptables -A INPUT -p tcp --dport=80 -j ACCEPT", "iptables -t filter -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"],
  [
    "iptables -A INPUT -m comment --comment '-t' -j ACCEPT",
    "iptables -t filter -A INPUT -m comment --comment -t -j ACCEPT",
  ],
  [
    "iptables -N A; iptables -F A && iptables -X A",
    "iptables -t filter -N A\niptables -t filter -F A\niptables -t filter -X A",
  ],
  ["set -e\nip6tables -N A\niptables -N B", "iptables -t filter -N B"],
] as const)("%j is read as %j", ([text, printed]) => {
  expect(formatCommands(parseCommands(text), { family: 4 })).toBe(`${printed}\n`);
});

test("ip6tables lines are read for IPv6", () => {
  const line = "ip6tables -t nat -A A -d fd00::1 -p tcp -m tcp --dport 80 -j DNAT --to-destination '[fd00::2]:80'";
  const printed = formatCommands(parseCommands(line, { family: 6 }), { family: 6 });
  expect(printed).toBe(`${line.replaceAll("'", '"')}\n`);
});

test.for([
  ["rm -rf /", '"rm" is not an iptables command'],
  ["iptables -A INPUT -s $ADDRESS", "what the shell puts in place of $ is not known here"],
  ["iptables -A INPUT | cat", "the shell's | is not understood here"],
  ["iptables -t nope -A INPUT", 'there is no table "nope"'],
  ["iptables -A INPUT -A OUTPUT", "more than one command: -A and -A"],
  ["iptables -D INPUT 0", '"0" is not a rule number'],
  ["iptables -E A B", "-E is not understood here"],
  ["iptables", "no command such as -A or -N in it"],
  ["iptables -A 'INPUT", "a single quote is never closed"],
] as const)("%s is refused: %s", ([line, reason]) => {
  expect(() => parseCommands(`\n${line}\n`)).toThrow(InputError);
  try {
    parseCommands(`\n${line}\n`);
  } catch (error) {
    const fault = error instanceof InputError ? error.faults[0] : undefined;
    expect([fault?.at?.line, fault?.message]).toEqual([2, `Cannot read ${JSON.stringify(line)}: ${reason}`]);
  }
});
