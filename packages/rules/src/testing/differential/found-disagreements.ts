import type { SentPacket } from "./kernel-world.ts";
import type { Side, WorldSettings } from "./world-plan.ts";
import { address } from "./world-plan.ts";

/** What a differential run found once, shrunk: the engine said something else then. */
export interface FoundDisagreement {
  readonly name: string;
  readonly settings: Partial<WorldSettings>;
  /** As iptables-save prints it, of IPv6 where the packet is. */
  readonly rules: string;
  readonly sent: SentPacket;
  /** What the kernel does, as `describeKernelOutcome` says it. */
  readonly outcome: string;
}

interface Probe {
  readonly side: Side;
  readonly protocol?: SentPacket["packet"]["protocol"];
  readonly from: string;
  readonly to: string;
  readonly port: number;
}

function probe({ side, protocol = "udp", from, to, port }: Probe): SentPacket {
  return {
    side,
    mark: 0,
    packet: {
      source: address(from),
      destination: address(to),
      protocol,
      sourcePort: 40001,
      destinationPort: port,
      id: 1,
    },
  };
}

const table = (name: string, ...rules: readonly string[]) => `*${name}\n${rules.join("\n")}\nCOMMIT\n`;

export const FOUND_DISAGREEMENTS: readonly FoundDisagreement[] = [
  {
    name: "MASQUERADE on the IPv6 loopback takes the destination itself for its source",
    settings: {},
    rules: table("nat", "-A POSTROUTING -j MASQUERADE"),
    sent: probe({ side: "host", from: "::1", to: "fd01::aa", port: 443 }),
    outcome: "kept fd01::aa 40001 > fd01::aa 443 mark 0",
  },
  {
    name: "what rules leave no hop to is not passed on",
    settings: {},
    rules: table("mangle", "-A PREROUTING -j TTL --ttl-set 1"),
    sent: probe({ side: "pod1", from: "10.1.0.2", to: "203.0.113.9", port: 443 }),
    outcome: "lost",
  },
  {
    name: "IPv6 packets that rules leave no hop to are not passed on",
    settings: {},
    rules: table("mangle", "-A PREROUTING -j HL --hl-dec 63"),
    sent: probe({ side: "pod1", from: "fd01::2", to: "fd07::7", port: 443 }),
    outcome: "lost",
  },
  {
    name: "one hop more is enough to be passed on",
    settings: {},
    rules: table("mangle", "-A PREROUTING -j TTL --ttl-set 2"),
    sent: probe({ side: "pod1", from: "10.1.0.2", to: "203.0.113.9", port: 443 }),
    outcome: "out by eth0 10.1.0.2 40001 > 203.0.113.9 443 mark 0",
  },
  {
    name: "what has no way on is refused before anybody asks for its way back",
    settings: { rpFilter: 1 },
    rules: "",
    sent: probe({ side: "remote", from: "203.0.113.9", to: "10.67.0.1", port: 3000 }),
    outcome: "refused",
  },
  {
    name: "an IPv6 host that does not forward still tells of an unreachable route",
    settings: { forwarding: false },
    rules: "",
    sent: probe({ side: "outside", from: "fd07::7", to: "fd67::1", port: 3000 }),
    outcome: "refused",
  },
  {
    name: "an IPv4 host that does not forward says nothing, not even on a bridge with DNAT",
    settings: { forwarding: false },
    rules: table("nat", "-A PREROUTING -j DNAT --to-destination 10.1.0.3"),
    sent: probe({ side: "pod1", from: "10.1.0.2", to: "10.100.100.3", port: 53 }),
    outcome: "lost",
  },
  {
    name: "DNAT to the IPv6 loopback looks for a route by the incoming interface only",
    settings: {},
    rules: table("nat", "-A PREROUTING -j DNAT --to-destination ::1"),
    sent: probe({ side: "remote", from: "fd02::2", to: "fd64::3", port: 53 }),
    outcome: "refused",
  },
  {
    name: "a local IPv6 address is as UNICAST as any",
    settings: {},
    rules: table("filter", "-A INPUT -m addrtype --dst-type UNICAST -j DROP"),
    sent: probe({ side: "remote", from: "fd02::2", to: "fd01::aa", port: 7070 }),
    outcome: "lost",
  },
  {
    name: "a local IPv4 address is not UNICAST",
    settings: {},
    rules: table("filter", "-A INPUT -m addrtype --dst-type UNICAST -j DROP"),
    sent: probe({ side: "remote", from: "10.2.0.2", to: "10.1.0.0", port: 7070 }),
    outcome: "kept 10.2.0.2 40001 > 10.1.0.0 7070 mark 0",
  },
  {
    name: "what comes in again by the loopback is confirmed, although still NEW",
    settings: {},
    rules: table("filter", "-A INPUT -m conntrack --ctstatus CONFIRMED --ctstate NEW -j MARK --set-xmark 0x1/0xff"),
    sent: probe({ side: "host", from: "10.1.0.1", to: "192.168.7.6", port: 7070 }),
    outcome: "kept 10.1.0.1 40001 > 192.168.7.6 7070 mark 1",
  },
  {
    name: "what the host sends to an IPv6 anycast address of its own stays",
    settings: {},
    rules: table("nat", "-A OUTPUT -j DNAT --to-destination fd01::"),
    sent: probe({ side: "host", from: "fd07::6", to: "fd64::3", port: 53 }),
    outcome: "kept fd07::6 40001 > fd01:: 53 mark 0",
  },
  {
    name: "an IPv6 host that does not forward has no anycast address",
    settings: { forwarding: false },
    rules: table("nat", "-A OUTPUT -j DNAT --to-destination fd01::"),
    sent: probe({ side: "host", from: "fd07::6", to: "fd64::3", port: 53 }),
    outcome: "out by cni0 fd07::6 40001 > fd01:: 53 mark 0",
  },
  {
    name: "DNAT --random without a port leaves the port alone, so that to the same address it translates nothing",
    settings: {},
    rules: table(
      "nat",
      "-A OUTPUT -j DNAT --to-destination 192.168.7.60 --random",
      "-A POSTROUTING -m conntrack --ctstate DNAT -j SNAT --to-source 10.1.0.2",
    ),
    sent: probe({ side: "host", from: "127.0.0.1", to: "192.168.7.60", port: 80 }),
    outcome: "kept 127.0.0.1 40001 > 192.168.7.60 80 mark 0",
  },
  {
    name: "the nat table is not asked where no rule needs connections to be tracked",
    settings: {},
    rules: table("nat", "-A INPUT -j MARK --set-xmark 0x100/0xffffffff"),
    sent: probe({ side: "outside", from: "192.168.7.7", to: "192.168.7.6", port: 53 }),
    outcome: "kept 192.168.7.7 40001 > 192.168.7.6 53 mark 0",
  },
  {
    name: "a rule that has connections not tracked needs none tracked",
    settings: {},
    rules: [
      table("raw", "-A PREROUTING -s 203.0.113.0/24 -j CT --notrack"),
      table("nat", "-A INPUT -j MARK --set-xmark 0x100/0xffffffff"),
    ].join(""),
    sent: probe({ side: "outside", from: "192.168.7.7", to: "192.168.7.6", port: 53 }),
    outcome: "kept 192.168.7.7 40001 > 192.168.7.6 53 mark 0",
  },
  {
    name: "the nat table is asked where another table's rule needs connections to be tracked",
    settings: {},
    rules: [
      table("nat", "-A INPUT -j MARK --set-xmark 0x100/0xffffffff"),
      table("filter", "-A FORWARD -m conntrack --ctstate INVALID -j DROP"),
    ].join(""),
    sent: probe({ side: "outside", from: "192.168.7.7", to: "192.168.7.6", port: 53 }),
    outcome: "kept 192.168.7.7 40001 > 192.168.7.6 53 mark 100",
  },
  {
    name: "what CT says a zone of is NEW at once, and no longer INVALID",
    settings: {},
    rules: table(
      "raw",
      "-A PREROUTING -j CT --zone 5",
      "-A PREROUTING -m conntrack --ctstate INVALID -j DROP",
      "-A PREROUTING -m conntrack --ctstate NEW --ctstatus CONFIRMED --ctorigsrc 0.0.0.0 -j MARK --set-xmark 0x1/0xff",
    ),
    sent: probe({ side: "remote", from: "10.2.0.2", to: "10.1.0.2", port: 80 }),
    outcome: "out by cni0 10.2.0.2 40001 > 10.1.0.2 80 mark 1",
  },
  {
    name: "the first that CT says counts: what has a zone is tracked",
    settings: {},
    rules: table(
      "raw",
      "-A PREROUTING -j CT --zone 5",
      "-A PREROUTING -j CT --notrack",
      "-A PREROUTING -m conntrack --ctstate UNTRACKED -j DROP",
    ),
    sent: probe({ side: "remote", from: "10.2.0.2", to: "10.1.0.2", port: 80 }),
    outcome: "out by cni0 10.2.0.2 40001 > 10.1.0.2 80 mark 0",
  },
  {
    name: "what comes in for 255.255.255.255 is for the host, whatever its routes say",
    settings: { forwarding: false },
    rules: table("filter", "-A FORWARD -j DROP", "-A INPUT -p udp -m udp --dport 53 -j MARK --set-xmark 0x1/0xff"),
    sent: probe({ side: "outside", from: "192.168.7.7", to: "255.255.255.255", port: 53 }),
    outcome: "kept 192.168.7.7 40001 > 255.255.255.255 53 mark 1",
  },
];
