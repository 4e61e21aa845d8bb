/** The names that iptables prints by itself, and those of Debian's /etc/protocols that rules use. */
const NUMBERS: ReadonlyMap<string, number> = new Map([
  ["hopopt", 0],
  ["icmp", 1],
  ["igmp", 2],
  ["ipencap", 4],
  ["tcp", 6],
  ["udp", 17],
  ["dccp", 33],
  ["ipv6", 41],
  ["ipv6-route", 43],
  ["ipv6-frag", 44],
  ["gre", 47],
  ["esp", 50],
  ["ah", 51],
  ["ipv6-icmp", 58],
  ["ipv6-nonxt", 59],
  ["ipv6-opts", 60],
  ["ospf", 89],
  ["ipip", 94],
  ["pim", 103],
  ["ipcomp", 108],
  ["vrrp", 112],
  ["l2tp", 115],
  ["sctp", 132],
  ["mobility-header", 135],
  ["udplite", 136],
]);

const NAMES: ReadonlyMap<number, string> = new Map([...NUMBERS].map(([name, number]) => [number, name]));

const ALIASES: ReadonlyMap<string, string> = new Map([
  ["icmpv6", "ipv6-icmp"],
  ["icmp6", "ipv6-icmp"],
  ["ipv6-mh", "mobility-header"],
  ["mh", "mobility-header"],
]);

/** The protocol as iptables prints it; undefined for `all` and 0, which match every packet. */
export function protocolName(text: string): string | undefined {
  const name = text.toLowerCase();
  if (name === "all" || name === "0") return undefined;
  const alias = ALIASES.get(name);
  if (alias !== undefined) return alias;
  return /^\d+$/.test(name) ? (NAMES.get(Number(name)) ?? String(Number(name))) : name;
}

/** The number of a protocol as `Match` keeps it; undefined for a name that only the host's /etc/protocols tells. */
export function protocolNumber(protocol: string): number | undefined {
  return NUMBERS.get(protocol) ?? (/^\d+$/.test(protocol) ? Number(protocol) : undefined);
}
