import type { Family } from "@svcproxy/topology";
import type { RandomSource } from "../random-source.ts";
import { PORTS, SIDES, WORLD } from "../world-plan.ts";

/** What random rules of one table are drawn from. */
export interface NftWords {
  readonly random: RandomSource;
  readonly family: Family;
  /** `ip` or `ip6`. */
  readonly header: "ip" | "ip6";
  /** Whether the table sees both families. */
  readonly isInet: boolean;
}

export function randomAddressText({ random, family }: NftWords): string {
  const world = WORLD[family];
  return random.pick([...SIDES.flatMap((side) => world.from[side]), ...world.services, ...world.odd]);
}

export function randomBlockText(words: NftWords): string {
  const { random, family } = words;
  return random.chance(0.4) ? random.pick(WORLD[family].blocks) : randomAddressText(words);
}

function several<Item>({ random }: NftWords, draw: () => Item, separator = ", "): string {
  return Array.from({ length: 1 + random.below(4) }, draw).join(separator);
}

/** Different items of a list, at least one. */
export function someOf<Item>({ random }: NftWords, items: readonly Item[]): readonly Item[] {
  const chosen = items.filter(() => random.chance(0.4));
  return chosen.length > 0 ? chosen : [random.pick(items)];
}

const INTERFACES = ["cni0", "eth0", "flannel.1", "lo"] as const;
export const MARKS = [1, 0x4000, 0x100, 0x4001, 0] as const;

/** One condition, as text; `sets` are the names of sets of addresses that the table has. */
export function randomCondition(words: NftWords, sets: readonly string[]): string {
  const { random, header, family } = words;
  const not = random.chance(0.25) ? "!= " : "";
  const port = () => random.pick(PORTS);
  const choices: readonly (() => string)[] = [
    () => `${header} ${random.pick(["saddr", "daddr"])} ${not}${randomBlockText(words)}`,
    () => `${header} ${random.pick(["saddr", "daddr"])} ${not}${randomBlockText(words)}`,
    () => `${header} daddr ${not}${random.pick(WORLD[family].services)}`,
    () => `${header} daddr ${not}{ ${[...new Set(someOf(words, WORLD[family].services))].join(", ")} }`,
    () => `meta l4proto ${not}${random.pick(["tcp", "udp", "sctp"])}`,
    () => `meta l4proto ${not}{ tcp, udp }`,
    () => `${random.pick(["tcp", "udp", "sctp"])} dport ${not}${port()}`,
    () => `${random.pick(["tcp", "udp", "th"])} dport ${not}{ ${[...new Set([port(), port(), port()])].join(", ")} }`,
    () => `meta l4proto { tcp, udp } th dport ${not}${random.pick(["1-100", "100-8000", "0-65535", "3000-40000"])}`,
    () => `th dport ${random.pick(["<", ">", "<=", ">="])} ${port()}`,
    () => `udp sport ${not}40000-65535`,
    () => `iifname ${not}"${random.pick([...INTERFACES, "cni*", "e*"])}"`,
    () => `oifname ${not}"${random.pick([...INTERFACES, "flannel*"])}"`,
    () => `iif ${not}"${random.pick(INTERFACES)}"`,
    () =>
      `iifname ${not}{ ${[...new Set([random.pick(INTERFACES), random.pick(INTERFACES)])].map((name) => `"${name}"`).join(", ")} }`,
    () => `meta mark ${not}${random.pick(MARKS)}`,
    () =>
      `meta mark & ${random.pick([0x4000, 0xff, 0x4001])} ${random.pick(["==", "!="])} ${random.pick([0, 0x4000, 1])}`,
    () => `meta mark ${not}{ 0x1, 0x4000 }`,
    () => `ct state ${not}${random.pick(["new", "established", "invalid", "untracked"])}`,
    () => `ct state ${random.pick(["new,untracked", "established,related", "invalid,new"])}`,
    () => `ct state ${not}{ new, established }`,
    () => `ct status ${random.pick(["dnat", "snat", "snat,dnat", "! dnat", "confirmed", "& (dnat|snat) == dnat"])}`,
    () => `ct status ${random.pick(["seen-reply", "! seen-reply", "assured", "! expected"])}`,
    // Before `th dport` nft 1.0.6 does not list the plain one.
    () => `ct protocol ${random.pick(["!= tcp", "!= udp", "{ udp, icmp }", "!= { tcp, udp }"])}`,
    () => `ct mark ${not}${random.pick([0, 1, 0x4000])}`,
    () => `ct direction ${not}${random.pick(["original", "reply"])}`,
    () => `ct original ${header} daddr ${not}${randomBlockText(words)}`,
    () => `ct reply ${header} saddr ${not}${randomAddressText(words)}`,
    () => `meta l4proto udp ct original proto-dst ${not}${port()}`,
    () => `fib ${random.pick(["saddr", "daddr"])} type ${not}${random.pick(["local", "unicast", "broadcast"])}`,
    () => `fib daddr type ${not}{ local, broadcast, multicast }`,
    () => `fib daddr . iif type ${not}local`,
    () => `fib saddr . iif oif ${random.pick(["missing", "exists"])}`,
    () => `fib saddr oifname ${not}"${random.pick(INTERFACES)}"`,
    () => `numgen random mod ${random.pick([2, 4, 10])} ${random.pick(["< 1", "0", "!= 1", "> 0", "{ 0, 1 }"])}`,
    () => `${header} daddr . th dport ${not}{ ${several(words, () => `${randomAddressText(words)} . ${port()}`)} }`,
    () =>
      `${header} saddr . ${header} daddr ${not}{ ${several(words, () => `${randomAddressText(words)} . ${randomAddressText(words)}`)} }`,
    () => `meta l4proto . th dport ${not}{ tcp . ${port()}, udp . ${port()} }`,
    () =>
      `${header} saddr . iifname { ${several(words, () => `${randomAddressText(words)} . "${random.pick(INTERFACES)}"`)} }`,
    () => `meta length ${not}${random.pick(["0-39", "40-60", "61-1500"])}`,
    () => `${header === "ip" ? "ip ttl" : "ip6 hoplimit"} ${not}${random.pick([63, 64])}`,
    () => `tcp flags ${random.pick(["syn", "& (syn|ack) == syn", "!= syn", "! ack", "rst,ack", "== syn"])}`,
    () =>
      `${family === 4 ? "icmp" : "icmpv6"} type ${not}${random.pick(["echo-request", "{ echo-request, echo-reply }"])}`,
    () => (words.isInet ? `meta nfproto ${not}${random.pick(["ipv4", "ipv6"])}` : "meta mark 0"),
    () => `meta priority & 0x000f ${random.pick(["==", "!="])} ${random.pick([0, 2, 3, 6])}`,
    () =>
      `ct ${random.pick(["original ", "reply ", ""])}${random.pick(["packets", "bytes"])} ${random.pick(["0-1", "2-100", "32-40"])}`,
    () => `ct helper ${not}"ftp"`,
    () => `ether saddr ${not}${random.pick(["02:00:00:00:01:02", "02:00:00:00:01:07", "00:00:00:00:00:00"])}`,
    () => `ct ${random.pick(["", "original ", "reply "])}zone ${not}${random.pick([0, 5])}`,
    () => `jhash ${header} daddr mod 2 seed 0xcafe ${random.pick([0, 1])}`,
    () => `jhash ${header} saddr . ${header} daddr mod 4 seed 0x1 ${random.pick([0, 1, 2])}`,
    () => `${header} frag-off & 0x1fff != 0`,
    () => `limit rate over ${random.pick(["1/hour", "1000000/second"])}`,
    () => `meta random < ${random.pick([1073741824, 2147483648])}`,
  ];
  if (sets.length > 0 && random.chance(0.2))
    return `${header} ${random.pick(["saddr", "daddr"])} ${not}@${random.pick(sets)}`;
  const text = random.pick(choices)();
  // IPv6 has no such field.
  return text.startsWith("ip6 frag-off") ? `${header} hoplimit != 0` : text;
}
