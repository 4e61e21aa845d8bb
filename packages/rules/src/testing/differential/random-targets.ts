import { type Cidr, cidrOf, type Family, type IpAddress } from "@svcproxy/topology";
import type { NumberRange } from "../../match.ts";
import type { Hook } from "../../rule-set.ts";
import type { Target } from "../../target.ts";
import { randomAddress, randomRange } from "./random-addresses.ts";
import type { RandomSource } from "./random-source.ts";
import type { RulePlace } from "./rule-place.ts";
import { WORLD } from "./world-plan.ts";

/** Targets that the kernel takes behind one protocol only. */
export function protocolFor(target: Target): "tcp" | "udp" | undefined {
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

export function randomTarget(random: RandomSource, place: RulePlace): Target {
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
  if (table === "raw" && roll < 88) return trackingTarget(random);
  if (table === "filter" && roll < 90) return rejectTarget(random, family);
  // The nat table is not meant to drop, and iptables refuses it.
  return table === "nat" ? { kind: "accept" } : random.chance(0.5) ? { kind: "drop" } : { kind: "return" };
}

function harmlessTarget(random: RandomSource, { table, hooks, family }: RulePlace): Target {
  const isOutgoing = hooks.every((hook) => hook === "FORWARD" || hook === "OUTPUT" || hook === "POSTROUTING");
  if (table === "mangle" && random.chance(0.5)) return headerTarget(random);
  if (table === "mangle" && random.chance(0.2)) return { kind: "checksum", words: ["--checksum-fill"] };
  if (table !== "nat" && random.chance(0.1)) return { kind: "unknown", name: "AUDIT", words: ["--type", "accept"] };
  if (table === "filter" && random.chance(0.15)) {
    const directions = random.pick(["src", "dst"]);
    return {
      kind: "set",
      names: ["written"],
      mapsMark: false,
      words: ["--add-set", `written-${family}`, directions, "--exist"],
    };
  }
  if (table === "mangle" && isOutgoing && random.chance(0.3))
    return { kind: "unknown", name: "CLASSIFY", words: ["--set-class", "1:1"] };
  return random.chance(0.5)
    ? { kind: "log", words: ["--log-prefix", "seen "] }
    : { kind: "nflog", words: ["--nflog-group", "3"] };
}

/** What else is written into the header: the type of service, on which routes and matches may hang, and the TTL. */
function headerTarget(random: RandomSource): Target {
  switch (random.below(3)) {
    case 0:
      return { kind: "tos", value: random.pick([0x10, 0x08, 0]), mask: random.pick([0xff, 0x3f, 0x10]) };
    case 1:
      return { kind: "dscp", value: random.pick([4, 10, 2]) };
    default:
      return { kind: "ttl", change: random.pick(["set", "inc", "dec"]), value: random.pick([1, 2, 60, 63]) };
  }
}

function trackingTarget(random: RandomSource): Target {
  if (random.chance(0.6)) return { kind: "ct", notrack: true, words: [] };
  const [option, direction] = random.pick([
    ["--zone", "both"],
    ["--zone-orig", "original"],
    ["--zone-reply", "reply"],
  ] as const);
  const zone = random.pick([5, 0, "mark"] as const);
  return { kind: "ct", notrack: false, zone: { zone, direction }, words: [option, String(zone)] };
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

function natTarget(random: RandomSource, family: Family, hooks: readonly Hook[]): Target {
  const world = WORLD[family];
  const draws = random.chance(0.15);
  const ports = random.chance(0.25) ? { ports: natPorts(random) } : {};
  const plain = { random: draws, randomFully: false, persistent: false, ...ports };
  if (hooks.includes("PREROUTING") || hooks.includes("OUTPUT")) {
    if (random.chance(0.08)) return { kind: "netmap", to: netmapBlock(random, family) };
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

function netmapBlock(random: RandomSource, family: Family): Cidr {
  // Whatever is mapped comes to somebody who is there.
  const [address, prefixLength] =
    family === 4
      ? random.pick([
          ["10.1.0.2", 31],
          ["10.2.0.2", 32],
        ] as const)
      : random.pick([
          ["fd01::2", 127],
          ["fd02::2", 128],
        ] as const);
  return cidrOf(randomAddress(random, [address]), prefixLength);
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
