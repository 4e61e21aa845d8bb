import type { Family } from "@svcproxy/topology";
import type { NftHook } from "../../../nft/nft-rule-set.ts";
import type { RandomSource } from "../random-source.ts";
import { PORTS, WORLD } from "../world-plan.ts";
import { type NftSource, type SourceChain, type SourceTable, TABLE_NAMES } from "./nft-source.ts";
import {
  MARKS,
  type NftWords,
  randomAddressText,
  randomBlockText,
  randomCondition,
  someOf,
} from "./random-conditions.ts";

/** Several tables of nftables with base chains at random places, sets, maps and chains. */
export function randomNft(random: RandomSource, family: Family): NftSource {
  const names = TABLE_NAMES.slice(0, 1 + random.below(TABLE_NAMES.length));
  return { tables: names.map((name) => randomTable({ random, family, name })) };
}

function randomTable({ random, family, name }: { random: RandomSource; family: Family; name: string }): SourceTable {
  const isInet = random.chance(0.4);
  const words: NftWords = { random, family, header: family === 4 ? "ip" : "ip6", isInet };
  const sets = randomSets(words);
  const chainNames = ["c0", "c1", "c2"].slice(0, 1 + random.below(3));
  const names = { sets: ["s0", "s1"], chains: chainNames };
  const bases = Array.from({ length: 1 + random.below(4) }, (_, at) => randomBase(words, { at, ...names }));
  // A chain leads to those behind it only, so that none leads back to itself.
  const others = chainNames.map(
    (chain, at): SourceChain => ({
      name: chain,
      rules: randomRules(words, { sets: names.sets, chains: chainNames.slice(at + 1), place: { type: "any" } }),
    }),
  );
  return { family: isInet ? "inet" : words.header, name, sets, chains: [...others.toReversed(), ...bases] };
}

function randomSets(words: NftWords): readonly string[] {
  const { random, family } = words;
  const type = family === 4 ? "ipv4_addr" : "ipv6_addr";
  const world = WORLD[family];
  const blocks = someOf(
    words,
    world.blocks.filter((block) => !/^(10\.0|0\.|fd00|::)/.test(block)),
  );
  const vips = someOf(words, world.services);
  const service = (address: string) => `${address} . ${random.pick(["tcp", "udp"])} . ${random.pick(PORTS)}`;
  const endpoints = [...world.from.pod1.slice(0, 1), ...world.from.pod2, ...world.from.remote.slice(0, 1)];
  return [
    `set s0 { type ${type}; flags interval; elements = { ${blocks.join(", ")} }; }`,
    `set s1 { type ${type}; elements = { ${vips.join(", ")} }; }`,
    `set dyn { type ${type}; size 65535; flags dynamic,timeout; timeout 1h; }`,
    `map marks { type ${type} : mark; elements = { ${vips.map((vip) => `${vip} : ${random.pick(MARKS)}`).join(", ")} }; }`,
    `map ports { type inet_service : ${type} . inet_service; elements = { ${[80, 53].map((port) => `${port} : ${random.pick(endpoints)} . ${random.pick(PORTS)}`).join(", ")} }; }`,
    `map group { typeof ${words.header} daddr . meta l4proto . th dport : meta priority; elements = { ${vips.map((vip) => `${service(vip)} : ${random.pick(["0:3", "1:2", "2:1"])}`).join(", ")} }; }`,
    `map ends { typeof meta priority : ${words.header} daddr; elements = { 0:3 : ${random.pick(endpoints)}, 1:2 : ${random.pick(endpoints)} }; }`,
    `map verdicts { type ${type} . inet_proto . inet_service : verdict; elements = { ${vips.map((vip) => `${service(vip)} : ${random.pick(["accept", "drop", "goto c0", "jump c0"])}`).join(", ")} }; }`,
    `map first { typeof numgen random mod 4 : ${words.header} daddr; elements = { 0 : ${random.pick(endpoints)}, 1 : ${random.pick(endpoints)}, 2 : ${random.pick(endpoints)}, 3 : ${random.pick(endpoints)} }; }`,
  ];
}

interface Names {
  readonly sets: readonly string[];
  readonly chains: readonly string[];
}

const HOOKS: readonly NftHook[] = ["prerouting", "prerouting", "input", "forward", "output", "postrouting"];

function randomBase(words: NftWords, { at, sets, chains }: Names & { readonly at: number }): SourceChain {
  const { random } = words;
  const hook = random.pick(HOOKS);
  const canNat = hook !== "forward";
  const type = canNat && random.chance(0.55) ? "nat" : hook === "output" && random.chance(0.4) ? "route" : "filter";
  // Chains of type nat may not be asked before conntrack; of one priority no two are, for which is first is not listed.
  const priority =
    type === "nat" ? -150 + random.below(80) * 5 + at : random.pick([-310, -300, -150, -105, -95, 0, 10, 90, 110]) + at;
  const policy = type !== "nat" && random.chance(0.06) ? "drop" : "accept";
  const base = { type, hook, priority, policy } as const;
  return { name: `b${at}`, base, rules: randomRules(words, { sets, chains, place: { type, hook } }) };
}

/** Where rules stand: in a chain that others lead to, any statement that only some hooks allow is left out. */
type Place = { readonly type: "any" } | { readonly type: "filter" | "nat" | "route"; readonly hook: NftHook };

function randomRules(words: NftWords, names: Names & { readonly place: Place }): readonly string[] {
  return Array.from({ length: 1 + words.random.below(5) }, () => randomRule(words, names));
}

function randomRule(words: NftWords, names: Names & { readonly place: Place }): string {
  const { random } = words;
  const conditions = Array.from({ length: random.below(3) }, () => randomCondition(words, names.sets));
  const counter = random.chance(0.1) ? ["counter"] : [];
  return [...conditions, ...counter, randomAction(words, names)].join(" ");
}

function randomAction(words: NftWords, { chains, place }: Names & { readonly place: Place }): string {
  const { random, header, family } = words;
  const nat = place.type === "nat" && random.chance(0.6) ? randomNat(words, place.hook) : undefined;
  if (nat !== undefined) return nat;
  const canReject = place.type === "filter" && place.hook !== "postrouting";
  const actions: readonly (() => string)[] = [
    () => "accept",
    () => (random.chance(0.4) ? "drop" : "accept"),
    () => "return",
    () => "counter",
    () => (chains.length > 0 ? `jump ${random.pick(chains)}` : "return"),
    () => (chains.length > 0 ? `goto ${random.pick(chains)}` : "return"),
    () => `meta mark set ${random.pick(MARKS)}`,
    () => `meta mark set meta mark ${random.pick(["| 0x4000", "& 0xffffbfff", "^ 0x1", "& 0xff | 0x100"])}`,
    () => `meta mark set ${header} daddr map @marks`,
    () => `meta mark set numgen random mod 2 map { 0 : 0x1, 1 : 0x100 }`,
    () => `ct mark set meta mark`,
    () => `ct mark set ${random.pick([1, 0x4000])}`,
    () => `meta mark set ct mark`,
    () => `meta priority set ${random.pick(["0:3", "1:2", "none"])}`,
    () => `meta priority set ${header} daddr . meta l4proto . th dport map @group accept`,
    () => `meta priority set ${header} daddr . meta l4proto . th dport map @group meta mark set 0x4000`,
    () =>
      `${header} daddr . meta l4proto . th dport vmap { ${randomAddressText(words)} . tcp . 80 : drop, ${randomAddressText(words)} . udp . 53 : accept }`,
    () => `numgen random mod 4 vmap { 0 : accept, 1-2 : drop, 3 : continue }`,
    () => `${header} saddr vmap { ${randomAddressText(words)} : drop }`,
    () => `iifname vmap { "cni0" : accept, "eth*" : return }`,
    () => `update @dyn { ${header} saddr }`,
    () => `add @dyn { ${header} daddr timeout 10m }`,
    () => `${header} saddr @dyn meta mark set 0x1`,
    () => (canReject ? `reject` : "counter"),
    () => (canReject ? `reject with tcp reset` : "counter"),
    () => (canSkipTracking(place) ? "notrack" : "counter"),
    () =>
      canSkipTracking(place)
        ? `ct ${random.pick(["", "original ", "reply "])}zone set ${random.pick([0, 5])}`
        : "counter",
    () => `log prefix "x" accept`,
    () => `${header} saddr ${randomBlockText(words)} ct state new meta mark set meta mark | 0x4000 accept`,
    // One of many: after it a proof says nothing of the packet.
    () =>
      random.pick([
        `${header} ${random.pick(["saddr", "daddr"])} set ${randomAddressText(words)}`,
        `${random.pick(["tcp", "udp"])} ${random.pick(["sport", "dport"])} set ${random.pick(PORTS)}`,
      ]),
    () => `${family === 4 ? "ip ttl" : "ip6 hoplimit"} set ${random.pick([32, 2, 1])}`,
  ];
  return random.pick(actions)();
}

function canSkipTracking(place: Place): boolean {
  return place.type === "filter" && ["prerouting", "output"].includes(place.hook);
}

function randomNat(words: NftWords, hook: NftHook): string | undefined {
  const { random, family, header } = words;
  const world = WORLD[family];
  const endpoints = [
    ...world.from.pod1.slice(0, 2),
    ...world.from.pod2,
    ...world.from.remote.slice(0, 1),
    ...world.from.host.slice(0, 2),
  ];
  const to = () => random.pick(endpoints);
  const bracket = (address: string) => (family === 4 ? address : `[${address}]`);
  const kind = words.isInet ? ` ${header}` : "";
  const flags = random.pick(["", "", " random", " fully-random", " persistent"]);
  const choices: readonly (() => string)[] =
    hook === "prerouting" || hook === "output"
      ? [
          () => `dnat${kind} to ${to()}`,
          () => `meta l4proto { tcp, udp } dnat${kind} to ${bracket(to())}:${random.pick(PORTS)}`,
          () => `dnat${kind} to numgen random mod 2 map { 0 : ${to()}, 1 : ${to()} }`,
          () =>
            `meta l4proto tcp dnat ${header} to numgen random mod 3 map { 0 : ${to()} . 80, 1 : ${to()} . 443, 2 : ${to()} . 3000 }`,
          () => `meta l4proto { tcp, udp } dnat ${header} to th dport map @ports`,
          () => `dnat${kind} to numgen random mod 4 map @first`,
          () =>
            `meta priority set ${header} daddr . meta l4proto . th dport map @group dnat${kind} to meta priority map @ends`,
          () =>
            `dnat${kind} to ${header} saddr map { ${randomAddressText(words)} : ${to()}, ${randomAddressText(words)} : ${to()} }`,
          () => `udp dport 53 redirect`,
          () => `meta l4proto tcp redirect to :${random.pick(PORTS)}`,
          () => `${header} daddr . meta l4proto . th dport vmap @verdicts`,
        ]
      : hook === "postrouting"
        ? [
            () => `masquerade${flags}`,
            () => `masquerade`,
            () => `ct status dnat masquerade${flags}`,
            () => `snat${kind} to ${random.pick(world.from.host.slice(0, 3))}`,
            () => `meta l4proto tcp snat${kind} to ${bracket(random.pick(world.from.host.slice(0, 2)))}:20000-30000`,
          ]
        : hook === "input"
          ? [() => `snat${kind} to ${random.pick(world.from.outside)}`]
          : [];
  return choices.length === 0 ? undefined : random.pick(choices)();
}
