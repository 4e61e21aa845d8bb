import { type Cidr, cidrOf, type Family, type IpAddress, parseCidr, parseIpAddress } from "@svcproxy/topology";
import type { Chain, Match, NumberRange, Rule, RuleSet, Table, Target } from "../../rule-set.ts";
import { randomServices } from "./random-services.ts";
import type { RandomSource } from "./random-source.ts";
import { SIDES, WORLD } from "./world-plan.ts";

type HookName = "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING";

/** A chain that rules are made for: what may stand in it hangs on the hooks from which it can be reached. */
interface Place {
  readonly family: Family;
  readonly table: string;
  readonly hooks: readonly HookName[];
  readonly isBuiltIn: boolean;
  /** Chains that it may jump to; the kernel refuses loops. */
  readonly below: readonly string[];
}

const HOOKS: Readonly<Record<string, readonly HookName[]>> = {
  raw: ["PREROUTING", "OUTPUT"],
  mangle: ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
  filter: ["INPUT", "FORWARD", "OUTPUT"],
  security: ["INPUT", "FORWARD", "OUTPUT"],
};

/** A rule set as a service proxy or a firewall could write it, of everything that the engine understands. */
export function randomRuleSet(random: RandomSource, family: Family): RuleSet {
  const services = random.chance(0.5) ? randomServices(random, family) : undefined;
  return {
    family,
    tables: Object.keys(HOOKS).map((table) => {
      const firewall = randomTable(random, { family, table, density: services === undefined ? 1 : 0.3 });
      return services === undefined
        ? firewall
        : mergeTables(
            firewall,
            services.tables.find(({ name }) => name === table),
          );
    }),
  };
}

function mergeTables(a: Table, b: Table | undefined): Table {
  if (b === undefined) return a;
  const merged = a.chains.map((chain) => {
    const other = b.chains.find(({ name }) => name === chain.name);
    return other === undefined ? chain : { ...chain, rules: [...chain.rules, ...other.rules] };
  });
  return {
    name: a.name,
    chains: [...merged, ...b.chains.filter(({ name }) => !merged.some((chain) => chain.name === name))],
  };
}

function randomTable(
  random: RandomSource,
  { family, table, density }: { family: Family; table: string; density: number },
): Table {
  const hooks = HOOKS[table] ?? [];
  // NAT's chains for destinations and for sources hold different targets.
  const groups: readonly (readonly HookName[])[] =
    table === "nat"
      ? [
          ["PREROUTING", "OUTPUT"],
          ["INPUT", "POSTROUTING"],
        ]
      : [hooks];
  const isUsed =
    random.chance(table === "nat" || table === "filter" ? 0.9 : table === "security" ? 0.15 : 0.45) &&
    random.chance(0.4 + 0.6 * density);
  const chains: Chain[] = [];
  for (const [index, group] of groups.entries()) {
    const names = isUsed
      ? [`${table}-${index}-a`, `${table}-${index}-b`, `${table}-${index}-c`].slice(0, random.below(4))
      : [];
    const own = names.map(
      (name, at): Chain => ({
        name,
        rules: randomRules(random, { family, table, hooks: group, isBuiltIn: false, below: names.slice(at + 1) }, 4),
      }),
    );
    const builtIn = group.map(
      (hook): Chain => ({
        name: hook,
        policy: table !== "nat" && isUsed && random.chance(0.06) ? "DROP" : "ACCEPT",
        rules: isUsed
          ? randomRules(random, { family, table, hooks: [hook], isBuiltIn: true, below: names }, Math.ceil(5 * density))
          : [],
      }),
    );
    chains.push(...builtIn, ...own);
  }
  return { name: table, chains };
}

function randomRules(random: RandomSource, place: Place, most: number): readonly Rule[] {
  return Array.from({ length: random.below(most + 1) }, () => randomRule(random, place));
}

function randomRule(random: RandomSource, place: Place): Rule {
  const matches: Match[] = [];
  const protocol = random.chance(0.4) ? random.pick(["tcp", "udp", "icmp", "sctp"] as const) : undefined;
  if (random.chance(0.3))
    matches.push({ kind: "source", negated: random.chance(0.15), cidr: randomBlock(random, place.family) });
  if (random.chance(0.35))
    matches.push({ kind: "destination", negated: random.chance(0.15), cidr: randomBlock(random, place.family) });
  if (random.chance(0.12)) matches.push(...interfaceMatch(random, place));
  if (place.family === 4 && random.chance(0.02)) matches.push({ kind: "fragment", negated: random.chance(0.7) });
  const target = randomTarget(random, place);
  const named = protocolFor(target) ?? protocol;
  const needsTcp = protocolFor(target) !== undefined;
  if (named !== undefined) matches.push(...protocolMatches(random, place.family, named, needsTcp));
  // Ports are there to be compared where the protocol is certain.
  const isCertain = matches.some((match) => match.kind === "protocol" && !match.negated);
  const extras = random.chance(0.45) ? 1 + random.below(2) : 0;
  for (let count = 0; count < extras; count++)
    matches.push(...extraMatch(random, place, isCertain ? named : undefined));
  // A rule that takes all and ends the walk leaves little to compare.
  if (matches.length === 0 && ["drop", "accept", "reject"].includes(target.kind) && random.chance(0.8))
    matches.push({ kind: "destination", negated: false, cidr: randomBlock(random, place.family) });
  return { matches, target };
}

/** Targets that the kernel takes behind one protocol only. */
function protocolFor(target: Target): "tcp" | "udp" | undefined {
  switch (target.kind) {
    case "reject":
      return target.with === "tcp-reset" ? "tcp" : undefined;
    case "dnat":
    case "snat":
      return target.to.ports === undefined ? undefined : "udp";
    case "masquerade":
    case "redirect":
      return target.ports === undefined ? undefined : "tcp";
    default:
      return undefined;
  }
}

/** Every address that may be met, and blocks around them. */
export function randomBlock(random: RandomSource, family: Family): Cidr {
  const world = WORLD[family];
  const text = random.chance(0.35)
    ? random.pick(world.blocks)
    : random.pick([...SIDES.flatMap((side) => world.from[side]), ...world.services, ...world.odd]);
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new TypeError(`no block: ${text}`);
  return cidr;
}

export function randomAddress(random: RandomSource, texts: readonly string[]): IpAddress {
  const text = random.pick(texts);
  const address = parseIpAddress(text);
  if (address === undefined) throw new TypeError(`no address: ${text}`);
  return address;
}

const DEVICES = ["cni0", "eth0", "flannel.1", "lo", "eth+", "cni+", "+", "vpod1"] as const;

function interfaceMatch(random: RandomSource, { hooks, isBuiltIn }: Place): readonly Match[] {
  const mayIn = !isBuiltIn || !hooks.some((hook) => hook === "OUTPUT" || hook === "POSTROUTING");
  const mayOut = !isBuiltIn || !hooks.some((hook) => hook === "PREROUTING" || hook === "INPUT");
  const kind = mayIn && (!mayOut || random.chance(0.5)) ? "inInterface" : "outInterface";
  const name = random.pick(DEVICES);
  return [{ kind, negated: name !== "+" && random.chance(0.25), name }];
}

function range(random: RandomSource): NumberRange {
  const from = random.pick([53, 80, 443, 1024, 3000, 7070, 34211]);
  return random.chance(0.6) ? { from, to: from } : { from, to: Math.min(65535, from + random.pick([10, 1000, 40000])) };
}

function protocolMatches(
  random: RandomSource,
  family: Family,
  protocol: "tcp" | "udp" | "icmp" | "sctp",
  mustStand: boolean,
): readonly Match[] {
  const name = protocol === "icmp" && family === 6 ? "ipv6-icmp" : protocol;
  const negated = !mustStand && random.chance(0.1);
  const header: Match = { kind: "protocol", negated, protocol: name };
  if (negated || random.chance(0.3)) return [header];
  const destinationPorts = { ...range(random), negated: random.chance(0.15) };
  switch (protocol) {
    case "tcp": {
      const flags = {
        negated: random.chance(0.2),
        mask: ["FIN", "SYN", "RST", "ACK"],
        set: random.pick([["SYN"], ["ACK"], ["SYN", "ACK"]]),
      };
      return [header, random.chance(0.2) ? { kind: "tcp", flags } : { kind: "tcp", destinationPorts }];
    }
    case "icmp":
      return [
        header,
        {
          kind: "icmp",
          negated: random.chance(0.2),
          type: random.pick(family === 4 ? [8, 0, 3] : [128, 129, 1]),
          ...(random.chance(0.3) ? { code: { from: 0, to: 0 } } : {}),
        },
      ];
    default:
      return [header, { kind: protocol, destinationPorts }];
  }
}

const STATES = ["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"] as const;

function some<T>(random: RandomSource, choices: readonly T[]): readonly T[] {
  const chosen = choices.filter(() => random.chance(0.4));
  return chosen.length > 0 ? chosen : [random.pick(choices)];
}

function extraMatch(random: RandomSource, place: Place, protocol: string | undefined): readonly Match[] {
  const { family, hooks, table } = place;
  const negated = random.chance(0.25);
  const within = (allowed: readonly HookName[]) => hooks.every((hook) => allowed.includes(hook));
  const mark = () => {
    const mask = random.pick([0xffffffff, 0x4000, 0xff, 0x100]);
    return { negated, value: (random.pick([0, 1, 0x4000, 0x100, 0x4001]) & mask) >>> 0, mask };
  };
  switch (random.below(20)) {
    case 0:
      return [{ kind: "mark", ...mark() }];
    case 1:
      return [{ kind: "connmark", ...mark() }];
    case 2:
      return [{ kind: "state", negated, states: some(random, STATES) }];
    case 3:
      return [{ kind: "conntrack", states: { negated, states: some(random, [...STATES, "SNAT", "DNAT"]) } }];
    case 4:
      return [conntrackEnds(random, family)];
    case 5:
      return [addressTypes(random, place)];
    case 6:
      if (protocol === undefined || protocol === "icmp") return [];
      return [
        {
          kind: "multiport",
          negated,
          direction: random.pick(["source", "destination", "either"]),
          ports: [range(random), range(random)],
        },
      ];
    case 7: {
      const threshold = random.pick([0x40000000, 0x20000000, 0x60000000, 0]);
      return [{ kind: "statistic", mode: "random", negated, threshold }];
    }
    case 8:
      return [{ kind: "statistic", mode: "nth", negated, every: 1 + random.below(3), packet: 0 }];
    case 9:
      return [
        {
          kind: "recent",
          negated: false,
          action: random.pick(["set", "rcheck", "update", "remove"]),
          name: random.pick(["one", "two"]),
          side: random.pick(["source", "destination"]),
        },
      ];
    case 10:
      if (!within(["PREROUTING", "FORWARD", "INPUT"])) return [];
      return [{ kind: "physdev", inInterface: { negated, name: random.pick(["vpod1", "vpod2", "vpod+"]) } }];
    case 11:
      if (!within(["FORWARD"])) return [];
      return [{ kind: "physdev", isBridged: { negated } }];
    case 12:
      return [
        { kind: "iprange", [random.pick(["source", "destination"])]: { negated, ...randomRange(random, family) } },
      ];
    case 13:
      return within(["OUTPUT", "POSTROUTING"])
        ? [{ kind: "owner", user: { negated, text: random.pick(["0", "1000"]) } }]
        : [];
    case 14:
      if ((table !== "raw" && table !== "mangle") || !within(["PREROUTING"])) return [];
      return [
        {
          kind: "rpfilter",
          loose: random.chance(0.5),
          validmark: random.chance(0.3),
          acceptLocal: random.chance(0.3),
          invert: negated,
        },
      ];
    case 16:
      return within(["PREROUTING", "FORWARD", "INPUT"])
        ? [{ kind: "mac", negated, address: random.pick(["02:00:00:00:01:02", "02:00:00:00:01:07"]) }]
        : [];
    case 17:
      return [
        {
          kind: "length",
          negated,
          ...random.pick([
            { from: 40, to: 40 },
            { from: 32, to: 60 },
            { from: 61, to: 1500 },
          ]),
        },
      ];
    case 18:
      return [setMatch(random, family, negated)];
    case 15:
      return [{ kind: "limit", rate: "10/min", burst: 5 }];
    default:
      return random.chance(0.5)
        ? [{ kind: "ttl", comparison: random.pick(["eq", "lt", "gt"]), value: random.pick([63, 64, 65]) }]
        : [{ kind: "comment", text: "a comment" }];
  }
}

/** Sets that the world has, with the directions that each takes. */
function setMatch(random: RandomSource, family: Family, negated: boolean): Match {
  const [name, count] = random.pick<readonly [string, number]>([
    ["ips", 1],
    ["nets", 1],
    ["ip-ports", 2],
  ]);
  const directions = Array.from({ length: count }, () => random.pick(["src", "dst"] as const));
  return { kind: "set", negated, name: `${name}-${family}`, directions, rest: [] };
}

function conntrackEnds(random: RandomSource, family: Family): Match {
  const end = () => ({ negated: random.chance(0.2), cidr: randomBlock(random, family) });
  const key = random.pick(["originalSource", "originalDestination", "replySource", "replyDestination"] as const);
  const ports = { ...range(random), negated: random.chance(0.2) };
  switch (random.below(5)) {
    case 0:
      return { kind: "conntrack", originalDestinationPorts: ports };
    case 1:
      return { kind: "conntrack", direction: random.pick(["ORIGINAL", "REPLY"]) };
    case 2:
      return {
        kind: "conntrack",
        status: {
          negated: random.chance(0.3),
          statuses: [random.pick(["SEEN_REPLY", "ASSURED", "CONFIRMED", "EXPECTED"])],
        },
      };
    default:
      return { kind: "conntrack", [key]: end() };
  }
}

function addressTypes(random: RandomSource, { hooks }: Place): Match {
  const types = (): { negated: boolean; types: readonly string[] } => ({
    negated: random.chance(0.25),
    types: [random.pick(["LOCAL", "LOCAL", "UNICAST"])],
  });
  const isIncoming = hooks.every((hook) => hook === "PREROUTING" || hook === "INPUT");
  const limit = isIncoming && random.chance(0.2) ? { limitInterface: "in" as const } : {};
  return random.chance(0.6)
    ? { kind: "addrtype", destination: types(), ...limit }
    : { kind: "addrtype", source: types(), ...limit };
}

function randomRange(random: RandomSource, family: Family): { from: IpAddress; to: IpAddress } {
  const [from, to] = random.pick<readonly [string, string]>(
    family === 4
      ? ([
          ["10.1.0.0", "10.1.0.2"],
          ["10.0.0.0", "10.100.100.1"],
          ["192.168.7.1", "192.168.7.60"],
        ] as const)
      : ([
          ["fd01::", "fd01::2"],
          ["fd00::", "fd64::1"],
          ["fd07::1", "fd07::60"],
        ] as const),
  );
  return { from: randomAddress(random, [from]), to: randomAddress(random, [to]) };
}

function randomTarget(random: RandomSource, place: Place): Target {
  const { table, hooks, below, family } = place;
  if (below.length > 0 && random.chance(0.35))
    return { kind: random.chance(0.85) ? "jump" : "goto", chain: random.pick(below) };
  const roll = random.below(100);
  if (table === "nat" && roll < 45) return natTarget(random, family, hooks);
  if (roll < 60 && random.chance(0.7)) return markTarget(random);
  if (roll < 64) return { kind: "return" };
  if (roll < 70) return { kind: "accept" };
  if (roll < 74) return harmlessTarget(random, place);
  if (roll < 76) return table === "raw" && random.chance(0.3) ? { kind: "trace" } : { kind: "none" };
  if (table === "raw" && roll < 88) return { kind: "ct", notrack: true, words: [] };
  if (table === "filter" && roll < 90) return rejectTarget(random, family);
  // The nat table is not meant to drop, and iptables refuses it.
  return table === "nat" ? { kind: "accept" } : random.chance(0.5) ? { kind: "drop" } : { kind: "return" };
}

function harmlessTarget(random: RandomSource, { table, hooks }: Place): Target {
  const isOutgoing = hooks.every((hook) => hook === "FORWARD" || hook === "OUTPUT" || hook === "POSTROUTING");
  if (table === "mangle" && isOutgoing && random.chance(0.3))
    return { kind: "unknown", name: "CLASSIFY", words: ["--set-class", "1:1"] };
  return random.chance(0.5)
    ? { kind: "log", words: ["--log-prefix", "seen "] }
    : { kind: "nflog", words: ["--nflog-group", "3"] };
}

function rejectTarget(random: RandomSource, family: Family): Target {
  const replies =
    family === 4
      ? ["icmp-port-unreachable", "icmp-admin-prohibited", "tcp-reset"]
      : ["icmp6-port-unreachable", "icmp6-adm-prohibited", "tcp-reset"];
  return { kind: "reject", with: random.pick(replies) };
}

function markTarget(random: RandomSource): Target {
  const mask = random.pick([0xffffffff, 0x4000, 0x100, 0xff]);
  const value = random.pick([0x4000, 0x100, 1, 0x4001, 0]);
  const connectionMask = random.pick([0xffffffff, 0x4000]);
  switch (random.below(5)) {
    case 0:
      return { kind: "connmark", action: "save", packetMask: mask, connectionMask };
    case 1:
      return { kind: "connmark", action: "restore", packetMask: mask, connectionMask };
    case 2:
      return { kind: "connmark", action: "set", value, mask };
    default:
      return { kind: "mark", value, mask };
  }
}

function natTarget(random: RandomSource, family: Family, hooks: readonly HookName[]): Target {
  const world = WORLD[family];
  const draws = random.chance(0.15);
  const ports = random.chance(0.25) ? { ports: natPorts(random) } : {};
  const plain = { random: draws, randomFully: false, persistent: false, ...ports };
  if (hooks.includes("PREROUTING") || hooks.includes("OUTPUT")) {
    if (random.chance(0.15)) return { kind: "redirect", random: draws, ...ports };
    if (random.chance(0.1)) return { kind: "dnat", to: { ...plain, addresses: natRange(random, family) } };
    const address = randomAddress(random, [
      ...[world.from.pod1, world.from.remote, world.from.outside].flatMap((own) => own.slice(0, 1)),
      ...[...world.from.pod2, ...world.from.host, ...world.services, ...world.odd],
    ]);
    return { kind: "dnat", to: { ...plain, addresses: { from: address, to: address } } };
  }
  if (!hooks.includes("INPUT") && random.chance(0.6))
    return { kind: "masquerade", random: draws, randomFully: draws && random.chance(0.5), ...ports };
  if (random.chance(0.1)) return { kind: "snat", to: { ...plain, addresses: natRange(random, family) } };
  const address = randomAddress(random, [...world.from.host.slice(0, 3), ...world.from.pod1.slice(0, 1)]);
  return { kind: "snat", to: { ...plain, addresses: { from: address, to: address } } };
}

/** Mostly few enough for the engine to look at each. */
function natRange(random: RandomSource, family: Family): { from: IpAddress; to: IpAddress } {
  if (random.chance(0.2)) return randomRange(random, family);
  const [from, to] = family === 4 ? (["10.1.0.2", "10.1.0.3"] as const) : (["fd01::2", "fd01::3"] as const);
  return { from: randomAddress(random, [from]), to: randomAddress(random, [to]) };
}

function natPorts(random: RandomSource): NumberRange {
  return random.pick([
    { from: 3000, to: 3000 },
    { from: 5000, to: 5010 },
    { from: 40000, to: 59999 },
  ]);
}

export function singleBlock(address: IpAddress): Cidr {
  return cidrOf(address, address.includes(":") ? 128 : 32);
}
