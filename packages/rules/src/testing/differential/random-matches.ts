import type { Family } from "@svcproxy/topology";
import type { Match, NumberRange } from "../../match.ts";
import type { Hook } from "../../rule-set.ts";
import { randomBlock, randomRange } from "./random-addresses.ts";
import type { RandomSource } from "./random-source.ts";
import type { RulePlace } from "./rule-place.ts";

const DEVICES = ["cni0", "eth0", "flannel.1", "lo", "eth+", "cni+", "+", "vpod1"] as const;

export function interfaceMatch(random: RandomSource, { hooks, isBuiltIn }: RulePlace): readonly Match[] {
  const mayIn = !isBuiltIn || !hooks.some((hook) => hook === "OUTPUT" || hook === "POSTROUTING");
  const mayOut = !isBuiltIn || !hooks.some((hook) => hook === "PREROUTING" || hook === "INPUT");
  const kind = mayIn && (!mayOut || random.chance(0.5)) ? "inInterface" : "outInterface";
  const name = random.pick(DEVICES);
  return [{ kind, negated: name !== "+" && random.chance(0.25), name }];
}

export function range(random: RandomSource): NumberRange {
  const from = random.pick([53, 80, 443, 1024, 3000, 7070, 34211]);
  return random.chance(0.6) ? { from, to: from } : { from, to: Math.min(65535, from + random.pick([10, 1000, 40000])) };
}

export function protocolMatches(
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
          type: random.pick(family === 4 ? [8, 0, 3, 255] : [128, 129, 1, 255]),
          ...(random.chance(0.3)
            ? {
                code: random.pick([
                  { from: 0, to: 0 },
                  { from: 1, to: 255 },
                ]),
              }
            : {}),
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

export function extraMatch(random: RandomSource, place: RulePlace, protocol: string | undefined): readonly Match[] {
  const { family, hooks, table } = place;
  const negated = random.chance(0.25);
  const within = (allowed: readonly Hook[]) => hooks.every((hook) => allowed.includes(hook));
  const mark = () => {
    const mask = random.pick([0xffffffff, 0x4000, 0xff, 0x100]);
    return { negated, value: (random.pick([0, 1, 0x4000, 0x100, 0x4001]) & mask) >>> 0, mask };
  };
  if (random.chance(0.3)) return [moreMatch(random, place)];
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

/** Modules with few options, and those of which only some answers can be known. */
function moreMatch(random: RandomSource, { hooks }: RulePlace): Match {
  const negated = random.chance(0.25);
  const isOutgoing = hooks.every((hook) => hook === "OUTPUT" || hook === "POSTROUTING");
  const group = () => {
    const value = random.pick([0, 5, 7]);
    return { negated, text: String(value), value, mask: 0xffffffff };
  };
  const label = random.pick(["3", "4"]);
  const byte = random.pick([0, 0x10, 0x28, 0x08]);
  switch (random.below(12)) {
    case 0:
      return { kind: "pkttype", negated, type: random.pick(["unicast", "broadcast", "multicast"]) };
    case 1:
      return { kind: "helper", negated, name: "ftp" };
    case 2: {
      const mayLeave = hooks.every((hook) => hook !== "PREROUTING" && hook !== "INPUT");
      const mayCome = hooks.every((hook) => hook !== "POSTROUTING" && hook !== "OUTPUT");
      if (mayCome && (!mayLeave || random.chance(0.6))) return { kind: "devgroup", source: group() };
      return mayLeave ? { kind: "devgroup", destination: group() } : { kind: "nfacct", name: "hits" };
    }
    case 3:
      return {
        kind: "connbytes",
        ...random.pick([
          { from: 1, to: 1, negated: false },
          { from: 2, negated },
          { from: 0, to: 40, negated },
          { from: 30, negated },
        ]),
        unit: random.pick(["packets", "bytes", "avgpkt"]),
        direction: random.pick(["original", "reply", "both"]),
      };
    case 4:
      if (hooks.length > 1) return { kind: "nfacct", name: "hits" };
      return {
        kind: "policy",
        direction: isOutgoing ? "out" : "in",
        policy: random.pick(["none", "ipsec"]),
        words: [],
      };
    case 5:
      return { kind: "nfacct", name: "hits" };
    case 6:
    case 7:
      return { kind: "connlabel", negated, label, set: random.chance(0.5) };
    case 8:
      return { kind: "dscp", negated, value: byte >> 2 };
    case 9:
      return hooks.every((hook) => hook === "PREROUTING" || hook === "INPUT")
        ? { kind: "socket", transparent: false, nowildcard: random.chance(0.5), restoreMark: random.chance(0.2) }
        : { kind: "unknown", module: "cpu", words: ["--cpu", "9"] };
    case 10:
      return { kind: "unknown", module: "cpu", words: ["!", "--cpu", "9"] };
    default:
      return { kind: "tos", negated, value: byte, mask: random.pick([0xff, 0x3f, 0xfc]) & 0xff };
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

export function conntrackEnds(random: RandomSource, family: Family): Match {
  const end = () => ({ negated: random.chance(0.2), cidr: randomBlock(random, family) });
  const key = random.pick(["originalSource", "originalDestination", "replySource", "replyDestination"] as const);
  const ports = { ...range(random), negated: random.chance(0.2) };
  switch (random.below(6)) {
    case 0:
      return { kind: "conntrack", originalDestinationPorts: ports };
    case 3: {
      const protocol = random.pick(["tcp", "udp", family === 4 ? "icmp" : "ipv6-icmp"]);
      return { kind: "conntrack", protocol: { negated: random.chance(0.3), protocol } };
    }
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

function addressTypes(random: RandomSource, { hooks }: RulePlace): Match {
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
