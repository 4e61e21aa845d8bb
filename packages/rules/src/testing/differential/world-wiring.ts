import type { NetworkNamespace } from "@svcproxy/lab";
import type { Side } from "./world-plan.ts";

export const LOG_GROUP = 7;

/** Sentinels end at the first hook that they come to, whatever the rules. */
export const SENTINEL_PORT = 61999;

const SENTINEL_RULE = `udp dport ${SENTINEL_PORT} log group ${LOG_GROUP} queue-threshold 1 prefix "sentinel" drop;`;

/** Answers are of no interest behind the rules. */
const PROBES_ONLY =
  "tcp flags & (rst | ack) != 0 return; icmp type != echo-request return; icmpv6 type != echo-request return;";

/** The eyes of the host: before every rule for sentinels and what it answers, behind every rule for what came through. */
export const HOST_EYES = `table inet eyes {
  chain first { type filter hook prerouting priority -500; ${SENTINEL_RULE} }
  chain own {
    type filter hook output priority -500;
    ${SENTINEL_RULE}
    icmp type destination-unreachable log group ${LOG_GROUP} queue-threshold 1 prefix "error";
    icmpv6 type destination-unreachable log group ${LOG_GROUP} queue-threshold 1 prefix "error";
    tcp flags & rst == rst log group ${LOG_GROUP} queue-threshold 1 prefix "error";
  }
  chain in { type filter hook input priority 500; ${PROBES_ONLY} log group ${LOG_GROUP} queue-threshold 1 prefix "input"; }
  chain out { type filter hook postrouting priority 500; oifname "lo" return; ${PROBES_ONLY} log group ${LOG_GROUP} queue-threshold 1 prefix "postrouting"; }
}
`;

/** Everybody else sees what arrives, and answers nothing. */
export const OTHER_EYES = `table inet eyes {
  chain first {
    type filter hook prerouting priority -500;
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept;
    log group ${LOG_GROUP} queue-threshold 1 prefix "arrived" drop;
  }
}
`;

export async function wire(namespaceOf: (side: Side) => NetworkNamespace): Promise<void> {
  const host = namespaceOf("host");
  const run = (side: Side, script: string) => namespaceOf(side).run("sh", ["-e"], { input: script });
  // An address is no source of the host's own while it is looked for on the link: devices start without looking.
  await run("host", "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0");
  await run(
    "host",
    "modprobe br_netfilter 2>/dev/null || true; ip link add cni0 type bridge; ip link set cni0 address 02:00:00:00:00:01 up",
  );
  for (const [side, device, mac, hostMac] of LINKS) {
    await host.run("ip", [
      "link",
      "add",
      device,
      "address",
      hostMac,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "address",
      mac,
      "netns",
      String(namespaceOf(side).pid),
    ]);
  }
  await run("host", HOST_SETUP);
  await host.run("ipset", ["restore"], { input: SETS });
  // So that a neighbour can send to 127.0.0.1 as well.
  for (const side of ["pod1", "pod2", "outside", "remote"] as const)
    await run(side, "ip route flush table local root 127.0.0.0/8 2>/dev/null || true");
  await run("pod1", podSetup({ own: 2, other: 3, mac: "02:00:00:00:01:03" }));
  await run("pod2", podSetup({ own: 3, other: 2, mac: "02:00:00:00:01:02" }));
  await run("outside", OUTSIDE_SETUP);
  await run("remote", REMOTE_SETUP);
}

/** Side, its device on the host, its own MAC and the host's. */
const LINKS = [
  ["pod1", "vpod1", "02:00:00:00:01:02", "02:00:00:00:02:02"],
  ["pod2", "vpod2", "02:00:00:00:01:03", "02:00:00:00:02:03"],
  ["outside", "eth0", "02:00:00:00:01:07", "02:00:00:00:02:07"],
  ["remote", "flannel.1", "02:00:00:00:01:08", "02:00:00:00:02:08"],
] as const;

const HOST_SETUP = `
for s in net.ipv6.conf.all.forwarding=1 net.ipv4.ip_forward=1 \\
  net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=1000000 net.ipv4.icmp_msgs_burst=100000 net.ipv6.icmp.ratelimit=0 \\
  net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0 net.netfilter.nf_conntrack_udp_timeout=0 \\
  net.netfilter.nf_conntrack_udp_timeout_stream=0 net.netfilter.nf_conntrack_tcp_timeout_syn_sent=0 net.netfilter.nf_conntrack_tcp_timeout_close=0 \\
  net.netfilter.nf_conntrack_icmp_timeout=0 net.netfilter.nf_conntrack_icmpv6_timeout=0 net.netfilter.nf_conntrack_generic_timeout=0 \\
  net.netfilter.nf_conntrack_sctp_timeout_cookie_wait=0 net.netfilter.nf_conntrack_sctp_timeout_closed=0; do
  sysctl -qw $s 2>/dev/null || true
done
ip link set vpod1 master cni0 up; ip link set vpod2 master cni0 up
ip link set vpod1 type bridge_slave hairpin on
for p in "vpod1 02" "vpod2 03"; do
  set -- $p; ip link set $1 type bridge_slave learning off; bridge fdb replace 02:00:00:00:01:$2 dev $1 master static
done
ip addr add 10.1.0.1/24 dev cni0; ip addr add fd01::1/64 dev cni0 nodad
ip link set eth0 group 5; ip link set cni0 group 7; nfacct add hits
ip link set eth0 up; ip addr add 192.168.7.6/24 dev eth0; ip addr add 192.168.7.60/24 dev eth0; ip addr add fd07::6/64 dev eth0 nodad
ip link set flannel.1 up; ip addr add 10.1.0.0/32 dev flannel.1; ip addr add fd01::aa/128 dev flannel.1 nodad
ip route add default via 192.168.7.1; ip -6 route add default via fd07::1 dev eth0
ip route add 10.2.0.0/24 via 10.2.0.0 dev flannel.1 onlink; ip -6 route add fd02::/64 via fd02::aa dev flannel.1 onlink
for n in "4 10.66.0.0/24 10.67.0.0/24 10.68.0.0/24 10.9.0.0/24 10.2.0.0" "6 fd66::/64 fd67::/64 fd68::/64 fd09::/64 fd02::aa"; do
  set -- $n
  ip -$1 route add blackhole $2; ip -$1 route add unreachable $3; ip -$1 route add prohibit $4
  ip -$1 rule add fwmark 0x100/0x100 table 100; ip -$1 route add $5 via $6 dev flannel.1 onlink table 100
done
neigh() { ip neigh replace $1 lladdr $2 dev $3 nud permanent; }
neigh 10.1.0.2 02:00:00:00:01:02 cni0; neigh fd01::2 02:00:00:00:01:02 cni0; neigh 10.1.0.9 02:00:00:00:01:02 cni0; neigh fd01::9 02:00:00:00:01:02 cni0
neigh 10.1.0.3 02:00:00:00:01:03 cni0; neigh fd01::3 02:00:00:00:01:03 cni0
neigh 192.168.7.7 02:00:00:00:01:07 eth0; neigh 192.168.7.1 02:00:00:00:01:07 eth0; neigh fd07::7 02:00:00:00:01:07 eth0; neigh fd07::1 02:00:00:00:01:07 eth0
neigh 10.2.0.0 02:00:00:00:01:08 flannel.1; neigh fd02::aa 02:00:00:00:01:08 flannel.1
for try in $(seq 100); do [ -z "$(ip -6 -o addr show tentative)" ] && break; sleep 0.05; done
`;

/** Sets for the `set` match; the engine is told their members as \`ipset save\` prints them. */
const SETS = `
create ips-4 hash:ip family inet
add ips-4 10.1.0.2
add ips-4 10.100.100.1
create nets-4 hash:net family inet
add nets-4 10.0.0.0/8
add nets-4 10.1.0.0/24 nomatch
create ip-ports-4 hash:ip,port family inet
add ip-ports-4 10.100.100.2,tcp:80
add ip-ports-4 10.100.100.2,udp:53
add ip-ports-4 192.168.7.6,tcp:34211
create written-4 hash:ip family inet
create written-6 hash:ip family inet6
create ips-6 hash:ip family inet6
add ips-6 fd01::2
add ips-6 fd64::1
create nets-6 hash:net family inet6
add nets-6 fd00::/8
add nets-6 fd01::/64 nomatch
create ip-ports-6 hash:ip,port family inet6
add ip-ports-6 fd64::2,tcp:80
add ip-ports-6 fd07::6,tcp:34211
`;

function podSetup({ own, other, mac }: { own: number; other: number; mac: string }): string {
  return `
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0
ip link set eth0 up; ip addr add 10.1.0.${own}/24 dev eth0; ip addr add fd01::${own}/64 dev eth0 nodad
ip route add default via 10.1.0.1; ip -6 route add default via fd01::1
for a in 10.1.0.0 10.1.0.1 fd01::1 fd01::aa; do ip neigh replace $a lladdr 02:00:00:00:00:01 dev eth0 nud permanent; done
for a in 10.1.0.${other} fd01::${other}; do ip neigh replace $a lladdr ${mac} dev eth0 nud permanent; done
`;
}

const OUTSIDE_SETUP = `
sysctl -qw net.ipv6.conf.all.accept_dad=0
ip link set eth0 up; ip addr add 192.168.7.7/24 dev eth0; ip addr add fd07::7/64 dev eth0 nodad
ip route add default via 192.168.7.6; ip -6 route add default via fd07::6
for a in 192.168.7.6 192.168.7.60 fd07::6; do ip neigh replace $a lladdr 02:00:00:00:02:07 dev eth0 nud permanent; done
`;

const REMOTE_SETUP = `
sysctl -qw net.ipv6.conf.all.accept_dad=0
ip link set eth0 up; ip addr add 10.2.0.2/32 dev eth0; ip addr add fd02::2/128 dev eth0 nodad
ip route add default via 10.1.0.0 dev eth0 onlink; ip -6 route add default via fd01::aa dev eth0 onlink
for a in 10.1.0.0 fd01::aa; do ip neigh replace $a lladdr 02:00:00:00:02:08 dev eth0 nud permanent; done
`;
