import { describe, expect, test } from "vitest";
import type { Rule } from "../rule-set.ts";
import { parseCommands } from "../rule-sets/parse-commands.ts";
import { ruleKey } from "./rule-key.ts";

function rule(text: string): Rule {
  const [command] = parseCommands(`iptables -A X ${text}`);
  if (command?.kind !== "append") throw new Error(`no rule: ${text}`);
  return command.rule;
}

describe("these mean the same", () => {
  test.for([
    ["-s 10.1.2.3 -j DROP", "-s 10.1.2.3/32 -j DROP"],
    ["-s 10.1.2.3/8", "-s 10.0.0.0/255.0.0.0"],
    ["-s 0.0.0.0/0 -i + -j DROP", "-j DROP"],
    ["-p tcp --dport 80", "-m tcp --dport 80 -p tcp"],
    ["-p 6 -m tcp", "-p tcp"],
    ["-p tcp -m tcp --dport 80 -d 10.0.0.1", "-d 10.0.0.1 -p tcp -m tcp --dport 80"],
    ["-p tcp --dport 0:65535", "-p tcp"],
    ["-p tcp --syn", "-p tcp --tcp-flags FIN,SYN,ACK,RST SYN"],
    ["-p tcp -m multiport --dports 80", "-p tcp --dport 80"],
    ["-p tcp -m multiport --dports 80,443", "-p tcp -m multiport --dports 443,80,80"],
    ["-p tcp -m multiport --dports 80:90", "-p tcp -m multiport --dports 80:85,86:90"],
    ["-m state --state NEW,RELATED", "-m conntrack --ctstate RELATED,NEW"],
    ["-m conntrack --ctstate NEW --ctdir ORIGINAL", "-m conntrack --ctdir ORIGINAL -m conntrack --ctstate NEW"],
    ["-m mark --mark 16384", "-m mark --mark 0x4000/0xffffffff"],
    ["-m mark --mark 0/0", ""],
    ["-j MARK --set-mark 0x4000", "-j MARK --set-xmark 0x4000/0xffffffff"],
    ["-j MARK --or-mark 0x4000", "-j MARK --set-xmark 0x4000/0x4000"],
    ["-j MARK --and-mark 0xff", "-j MARK --set-xmark 0x0/0xffffff00"],
    ["-j MARK --xor-mark 3", "-j MARK --set-xmark 0x3/0x0"],
    ["-m statistic --mode random --probability 0.33333333349", "-m statistic --mode random --probability 0.3333333333"],
    ["-m statistic --mode random --probability 1", ""],
    ["-m statistic --mode random ! --probability 0.25", "-m statistic --mode random --probability 0.75"],
    ["-m comment --comment a -j DROP", "-j DROP"],
    ["-m comment --comment a -m mark --mark 1 -s 10.0.0.1", "-s 10.0.0.1 -m mark --mark 1 -m comment --comment b"],
    ["-m limit --limit 60/minute", "-m limit --limit 1/second --limit-burst 5"],
    ["-m recent --rcheck --name A", "-m recent --name A --rsource --rcheck --mask 255.255.255.255"],
    ["-m limit -s 10.0.0.1", "-s 10.0.0.1 -m limit"],
    ["-j REJECT", "-j REJECT --reject-with icmp-port-unreachable"],
    ["-j REJECT --reject-with port-unreach", "-j REJECT"],
    ["-j NOTRACK", "-j CT --notrack"],
    ["-j LOG --log-prefix a --log-level debug", "-j LOG --log-level 7 --log-prefix a"],
    ["-j LOG --log-level warning", "-j LOG"],
    ["-c 5 6 -j DROP", "-j DROP"],
    ["-m time --timestart 10:00 -m mark --mark 1", "-m mark --mark 1 -m time --timestart 10:00"],
    ["-m addrtype --src-type LOCAL --dst-type LOCAL", "-m addrtype --dst-type LOCAL -m addrtype --src-type LOCAL"],
  ] as const)("%s = %s", ([a, b]) => {
    expect(ruleKey(rule(a))).toBe(ruleKey(rule(b)));
  });
});

describe("these do not", () => {
  test.for([
    ["-s 10.1.2.3", "-d 10.1.2.3"],
    ["-s 10.1.2.3", "! -s 10.1.2.3"],
    ["-i eth0", "-o eth0"],
    ["-p tcp --dport 80", "-p tcp --sport 80"],
    ["-p tcp --dport 80", "-p udp --dport 80"],
    ["-m mark --mark 0x4000", "-m mark --mark 0x4000/0x4000"],
    ["-m mark --mark 1", "-m connmark --mark 1"],
    ["-j MARK --set-mark 0x4000", "-j MARK --or-mark 0x4000"],
    ["-m statistic --mode random --probability 0.5", "-m statistic --mode random --probability 0.500000001"],
    ["-m limit --limit 1/sec -m mark --mark 1", "-m mark --mark 1 -m limit --limit 1/sec"],
    ["-m recent --set -m mark --mark 1", "-m mark --mark 1 -m recent --set"],
    ["-m hashlimit --hashlimit-upto 1/s -m mark --mark 1", "-m mark --mark 1 -m hashlimit --hashlimit-upto 1/s"],
    ["-j U", "-g U"],
    ["-j U", "-j V"],
    ["-j DNAT --to-destination 10.0.0.1:80", "-j DNAT --to-destination 10.0.0.1:81"],
    ["-j MASQUERADE", "-j MASQUERADE --random-fully"],
    ["-j ACCEPT", ""],
    ["-m addrtype --dst-type LOCAL", "-m addrtype --dst-type LOCAL --limit-iface-in"],
    ["-m set --match-set a src,dst", "-m set --match-set a dst,src"],
  ] as const)("%s ≠ %s", ([a, b]) => {
    expect(ruleKey(rule(a))).not.toBe(ruleKey(rule(b)));
  });
});

test("comments tell rules apart where asked to, cut as the kernel cuts them", () => {
  const key = (text: string) => ruleKey(rule(`-m comment --comment '${text}'`), { withComments: true });
  expect(key("a")).not.toBe(key("b"));
  expect(key("a\nb")).toBe(key("a b"));
  expect(key("x".repeat(255))).toBe(key("x".repeat(300)));
});
