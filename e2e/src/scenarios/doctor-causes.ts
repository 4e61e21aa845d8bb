import type { DataPath } from "../data-paths.ts";

/** A fault to make on a host, and what the doctor is to call it. */
export interface InjectedCause {
  readonly name: string;
  /** The host on which it is made; the doctor always looks on cloudos1. */
  readonly on: "cloudos1" | "cloudos2";
  readonly inject: string;
  readonly undo: string;
  readonly code: string;
  /** Something that its evidence has to say. */
  readonly evidence: RegExp;
  /** Whether the doctor needs a snapshot of the other host. */
  readonly needsPeer?: true;
  /** Whether the commands that it prints mend it by themselves. */
  readonly heals: boolean;
  /** Data paths that it concerns; default all. */
  readonly concerns?: (dataPath: DataPath) => boolean;
  /** Played on data paths that carry rules alone; the rest stands for all. */
  readonly isBrief?: true;
}

const byRules = ({ name }: DataPath) => name !== "userspace";
const byIptables = ({ name }: DataPath) => name.startsWith("iptables");

/** What may be in the way, from the rules of the host to the pod; each is undone by its own command. */
export const INJECTED_CAUSES: readonly InjectedCause[] = [
  {
    name: "Docker's policy of FORWARD",
    on: "cloudos1",
    inject: "iptables -P FORWARD DROP",
    undo: "iptables -P FORWARD ACCEPT; iptables -D FORWARD -m conntrack --ctstate DNAT -j ACCEPT 2>/dev/null || true",
    code: "FOREIGN_RULE_DROPS",
    evidence: /policy is DROP/,
    heals: true,
    concerns: byRules,
    isBrief: true,
  },
  {
    name: "the same in the other variant of iptables",
    on: "cloudos1",
    inject: "iptables-legacy -P FORWARD DROP",
    undo: "iptables-legacy -P FORWARD ACCEPT; iptables-legacy -D FORWARD -m conntrack --ctstate DNAT -j ACCEPT 2>/dev/null || true",
    code: "FOREIGN_RULE_DROPS",
    evidence: /policy is DROP/,
    heals: true,
    concerns: byRules,
  },
  {
    name: "a firewall of nftables that drops what is forwarded",
    on: "cloudos1",
    inject: 'nft add table inet fw; nft add chain inet fw f "{ type filter hook forward priority 0; policy drop; }"',
    undo: "nft delete table inet fw",
    code: "FOREIGN_RULE_DROPS",
    evidence: /policy is DROP/,
    heals: false,
    concerns: byRules,
  },
  {
    name: "a rule that refuses",
    on: "cloudos1",
    inject: "iptables -I FORWARD -j REJECT --reject-with icmp-host-prohibited",
    undo: "iptables -D FORWARD -j REJECT --reject-with icmp-host-prohibited 2>/dev/null || true",
    code: "FOREIGN_RULE_DROPS",
    evidence: /-j REJECT/,
    heals: true,
    concerns: byRules,
  },
  {
    name: "what network policies left behind",
    on: "cloudos1",
    inject:
      "iptables -N KUBE-NWPLCY-X; iptables -A KUBE-NWPLCY-X -d 10.5.75.2 -j DROP; iptables -I FORWARD -j KUBE-NWPLCY-X",
    undo: "iptables -D FORWARD -j KUBE-NWPLCY-X; iptables -F KUBE-NWPLCY-X; iptables -X KUBE-NWPLCY-X",
    code: "FOREIGN_RULE_DROPS",
    evidence: /-d 10\.5\.75\.2\/32/,
    heals: true,
    concerns: byRules,
  },
  {
    name: "a host that does not forward",
    on: "cloudos1",
    inject: "sysctl -qw net.ipv4.ip_forward=0",
    undo: "sysctl -qw net.ipv4.ip_forward=1",
    code: "FORWARDING_OFF",
    evidence: /ip_forward is 0/,
    heals: true,
    concerns: byRules,
    isBrief: true,
  },
  {
    name: "a bridge that passes netfilter by",
    on: "cloudos1",
    inject: "sysctl -qw net.bridge.bridge-nf-call-iptables=0",
    undo: "sysctl -qw net.bridge.bridge-nf-call-iptables=1",
    code: "BRIDGE_PAST_NETFILTER",
    evidence: /bridge-nf-call is off/,
    heals: false, // modprobe is not for a namespace
    concerns: byRules,
  },
  {
    name: "no route to the other host's pods",
    on: "cloudos1",
    inject: "ip route del 10.5.88.0/24",
    undo: "ip route replace 10.5.88.0/24 via 10.5.88.0 dev flannel.1 onlink",
    code: "ROUTE_MISSING",
    evidence: /default route/,
    heals: false,
    concerns: byRules,
    isBrief: true,
  },
  {
    name: "an overlay that does not know the other host",
    on: "cloudos1",
    inject: "bridge fdb del 0e:f1:00:00:00:02 dev flannel.1 dst 192.168.1.7",
    undo: "bridge fdb replace 0e:f1:00:00:00:02 dev flannel.1 dst 192.168.1.7",
    code: "TUNNEL_ENTRY_MISSING",
    evidence: /bridge fdb/,
    heals: true,
    concerns: byRules,
  },
  {
    name: "an overlay that is filtered on the other host",
    on: "cloudos2",
    inject: "iptables -I INPUT -p udp --dport 8472 -j DROP",
    undo: "iptables -D INPUT -p udp --dport 8472 -j DROP; iptables -D INPUT -p udp --dport 8472 -j ACCEPT 2>/dev/null || true",
    code: "TUNNEL_FILTERED",
    evidence: /--dport 8472/,
    needsPeer: true,
    heals: true,
    concerns: byRules,
  },
  {
    name: "a drop in raw on the other host, as Docker's",
    on: "cloudos2",
    inject: "iptables -t raw -I PREROUTING ! -i docker0 -d 10.5.88.2 -j DROP",
    undo: "iptables -t raw -F PREROUTING",
    code: "FOREIGN_RULE_DROPS",
    evidence: /! -i docker0/,
    needsPeer: true,
    heals: true,
    concerns: byRules,
  },
  {
    name: "a way out that the other host does not take",
    on: "cloudos1",
    inject: "ip route replace 10.5.88.0/24 via 192.168.1.7 dev eth0",
    undo: "ip route replace 10.5.88.0/24 via 10.5.88.0 dev flannel.1 onlink",
    code: "REVERSE_PATH_FILTERED",
    evidence: /way back to .* is flannel\.1, not eth0/,
    needsPeer: true,
    heals: false,
    concerns: byRules,
  },
  {
    name: "an underlay that carries smaller packets",
    on: "cloudos2",
    inject: "ip link set eth0 mtu 1400",
    undo: "ip link set eth0 mtu 1500",
    code: "MTU_TOO_LARGE",
    evidence: /undivided/,
    heals: false,
    concerns: byRules,
  },
  {
    name: "nat PREROUTING flushed",
    on: "cloudos1",
    inject: "iptables -t nat -F PREROUTING",
    undo: "true", // applied again below
    code: "RULES_MISSING",
    evidence: /meets no rule of a service proxy/,
    heals: false,
    concerns: ({ name }) => name === "iptables-nft",
  },
  {
    name: "nat POSTROUTING flushed",
    on: "cloudos1",
    inject: "iptables -t nat -F POSTROUTING",
    undo: "true",
    code: "MASQUERADE_MISSING",
    evidence: /not reached by flannel\.1|own address/,
    heals: false,
    concerns: ({ name }) => name === "iptables-nft",
  },
  {
    name: "the table of nftables deleted",
    on: "cloudos1",
    inject: "nft delete table ip svcproxy",
    undo: "true",
    code: "RULES_MISSING",
    evidence: /meets no rule of a service proxy/,
    heals: false,
    concerns: ({ name }) => name === "nftables",
  },
  {
    name: "a translation of somebody else",
    on: "cloudos1",
    inject: "iptables -t nat -I PREROUTING -d 10.100.100.1 -p tcp -j REDIRECT --to-ports 9",
    undo: "iptables -t nat -D PREROUTING -d 10.100.100.1 -p tcp -j REDIRECT --to-ports 9",
    code: "FOREIGN_DNAT_FIRST",
    evidence: /REDIRECT/,
    heals: true,
    concerns: byIptables,
  },
  {
    name: "a mark that is cleared",
    on: "cloudos1",
    inject: "iptables -t mangle -A POSTROUTING -j MARK --set-xmark 0",
    undo: "iptables -t mangle -F POSTROUTING",
    code: "FOREIGN_RULE_REWRITES",
    evidence: /MARK/,
    heals: true,
    concerns: ({ name }) => name === "iptables-nft",
  },
  {
    name: "hairpin mode off",
    on: "cloudos1",
    inject: "ls /sys/class/net/cni0/brif | while read d; do bridge link set dev $d hairpin off; done",
    undo: "ls /sys/class/net/cni0/brif | while read d; do bridge link set dev $d hairpin on; done",
    code: "HAIRPIN_OFF",
    evidence: /hairpin is off/,
    heals: true,
    concerns: byRules,
  },
  {
    name: "no route to the services",
    on: "cloudos1",
    inject: "ip route del default",
    undo: "ip route replace default via 192.168.1.1; for a in $(ip route show | awk '/dev lo/ {print $1}'); do ip route del $a; done",
    code: "VIP_ROUTE_MISSING",
    evidence: /no route leads to/,
    heals: true,
    concerns: byRules,
  },
  {
    name: "a pod's link that is down",
    on: "cloudos1",
    inject: "ip link set veth0 down",
    undo: "ip link set veth0 up",
    code: "LINK_DOWN",
    evidence: /set down/,
    heals: true,
  },
];
