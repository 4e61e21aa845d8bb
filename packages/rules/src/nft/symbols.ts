/** Names that nft prints for numbers, by data type. @see nftables src/datatype.c, src/proto.c, src/ct.c */
export const SYMBOLS: Readonly<Record<string, ReadonlyMap<string, number>>> = {
  inet_proto: symbols({
    ...{ ip: 0, icmp: 1, igmp: 2, ipencap: 4, tcp: 6, udp: 17, dccp: 33, ipv6: 41 },
    ...{ gre: 47, esp: 50, ah: 51, "ipv6-icmp": 58, icmpv6: 58, ospf: 89, ipip: 94, pim: 103, ipcomp: 108, comp: 108 },
    ...{ vrrp: 112, l2tp: 115, sctp: 132, "mobility-header": 135, "ipv6-mh": 135, udplite: 136 },
    ...{ hopopt: 0, "ipv6-route": 43, "ipv6-frag": 44, "ipv6-nonxt": 59, "ipv6-opts": 60 },
  }),
  ct_state: symbols({ invalid: 1, established: 2, related: 4, new: 8, untracked: 64 }),
  ct_status: symbols({
    ...{ expected: 1, "seen-reply": 2, assured: 4, confirmed: 8, snat: 16, dnat: 32, dying: 512 },
  }),
  tcp_flag: symbols({ fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ecn: 64, cwr: 128 }),
  icmp_type: symbols({
    ...{ "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, redirect: 5, "echo-request": 8 },
    ...{ "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12 },
    ...{ "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16 },
    ...{ "address-mask-request": 17, "address-mask-reply": 18 },
  }),
  icmp_code: symbols({
    ...{ "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3 },
    ...{ "frag-needed": 4, "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13 },
  }),
  icmpv6_type: symbols({
    ...{ "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4 },
    ...{ "echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131 },
    ...{ "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134 },
    ...{ "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138 },
    ...{ "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143 },
  }),
  icmpv6_code: symbols({
    ...{ "no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4 },
    ...{ "policy-fail": 5, "reject-route": 6 },
  }),
  dscp: symbols({
    ...{ cs0: 0, df: 0, be: 0, cs1: 8, cs2: 16, cs3: 24, cs4: 32, cs5: 40, cs6: 48, cs7: 56, lephb: 1 },
    ...{ af11: 10, af12: 12, af13: 14, af21: 18, af22: 20, af23: 22, af31: 26, af32: 28, af33: 30 },
    ...{ af41: 34, af42: 36, af43: 38, va: 44, ef: 46 },
  }),
  ether_type: symbols({ ip: 0x0800, arp: 0x0806, vlan: 0x8100, ip6: 0x86dd, "8021q": 0x8100, "8021ad": 0x88a8 }),
  boolean: symbols({ exists: 1, missing: 0, true: 1, false: 0 }),
  iface_type: symbols({ ether: 1, loopback: 772, ppp: 512, ipip: 768, ipip6: 769, sit: 776, ipgre: 778 }),
  devgroup: symbols({ default: 0 }),
  realm: symbols({ default: 253, cosmos: 0 }),
};

/** Types whose values are sets of bits: a bare value asks whether one of them is set. */
export const FLAG_TYPES: ReadonlySet<string> = new Set(["ct_state", "ct_status", "tcp_flag", "ct_label", "ct_event"]);

/** Types whose values are kept as text: names that are only ever compared for equality. */
export const TEXT_TYPES: ReadonlySet<string> = new Set([
  ...["ifname", "iface_index", "fib_addrtype", "pkt_type", "nf_proto", "ct_dir", "ct_helper", "ct_label", "string"],
  ...["ether_addr", "time", "hour", "day", "cgroupsv2", "sctp_chunk", "ct_event"],
]);

function symbols(numbers: Readonly<Record<string, number>>): ReadonlyMap<string, number> {
  return new Map(Object.entries(numbers));
}
