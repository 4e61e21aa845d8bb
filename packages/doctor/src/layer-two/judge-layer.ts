import { cidrContains, parseCidr, parseIpAddress } from "@svcproxy/topology";
import { type Expression, type LayerChain, type LayerFamily, type LayerRule, listOf, recordOf } from "./layer-chain.ts";

/** What comes by such a chain; what is absent is not known. */
export interface LayerPacket {
  readonly kind: "ip" | "arp";
  readonly source?: string;
  readonly destination?: string;
  /** `tcp`, `udp`, `sctp`. */
  readonly protocol?: string;
  readonly sourcePort?: number;
  readonly port?: number;
  readonly inDevice?: string;
  readonly outDevice?: string;
  /** The bridge that it is on. */
  readonly bridge?: string;
}

/** Where it comes by. */
export interface LayerPlace {
  readonly family: LayerFamily;
  readonly hook: string;
  /** Of family netdev. */
  readonly device?: string;
}

/** `mayDrop`: something of it is not known. Without a rule it is the policy of the chain. */
export type LayerVerdict =
  | { readonly kind: "passes" }
  | { readonly kind: "drops" | "mayDrop"; readonly chain: LayerChain; readonly rule?: LayerRule };

type Answer = "yes" | "no" | "unknown";

const PASSES: LayerVerdict = { kind: "passes" };

/** What the chains of a place do with a packet, in the order in which the kernel asks them. */
export function judgeLayer(
  chains: readonly LayerChain[],
  { place, packet }: { readonly place: LayerPlace; readonly packet: LayerPacket },
): LayerVerdict {
  let possible: LayerVerdict = PASSES;
  const asked = chains
    .filter(({ family, hook }) => family === place.family && hook === place.hook)
    .filter(({ devices }) => devices === undefined || place.device === undefined || devices.includes(place.device))
    .toSorted((a, b) => a.priority - b.priority);
  for (const chain of asked) {
    // A chain of one device, of which nft does not tell which, may be that of another.
    const isSure = place.family !== "netdev" || chain.devices !== undefined;
    const verdict = walk(chain, { chains, packet });
    if (verdict.kind === "drops" && isSure) return verdict;
    if (verdict.kind !== "passes" && possible.kind === "passes") possible = { ...verdict, kind: "mayDrop" };
  }
  return possible;
}

interface Walk {
  readonly chains: readonly LayerChain[];
  readonly packet: LayerPacket;
  readonly depth?: number;
}

/** The kernel refuses deeper ones. */
const MAX_DEPTH = 16;

function walk(chain: LayerChain, { chains, packet, depth = 0 }: Walk): LayerVerdict {
  let isSure = true;
  let possible: LayerVerdict | undefined;
  for (const rule of chain.rules) {
    const { applies, verdict } = readRule(rule, packet);
    if (applies === "no" || verdict === undefined) continue;
    const isCertain = applies === "yes" && isSure;
    if (verdict.kind === "drop") {
      if (isCertain) return { kind: "drops", chain, rule };
      possible ??= { kind: "mayDrop", chain, rule };
      if (applies === "yes") return possible;
    } else if (verdict.kind === "pass") {
      if (applies === "yes") return possible ?? PASSES;
      isSure = false;
    } else if (verdict.kind === "jump") {
      const target = chains.find(
        ({ family, table, name }) => family === chain.family && table === chain.table && name === verdict.target,
      );
      const inner =
        target === undefined || depth > MAX_DEPTH ? PASSES : walk(target, { chains, packet, depth: depth + 1 });
      if (inner.kind === "drops" && isCertain) return inner;
      if (inner.kind !== "passes") possible ??= { ...inner, kind: "mayDrop" };
      // What it accepts there, and what comes back, are not told apart.
      if (inner.kind === "passes" && target?.rules.some(accepts) === true) isSure = false;
    }
  }
  if (chain.policy !== "drop" || chain.hook === undefined) return possible ?? PASSES;
  return possible ?? { kind: isSure ? "drops" : "mayDrop", chain };
}

function accepts({ expressions }: LayerRule): boolean {
  return expressions.some((one) => "accept" in one);
}

type RuleVerdict =
  | { readonly kind: "drop" }
  | { readonly kind: "pass" }
  | { readonly kind: "jump"; readonly target: string };

function readRule(
  { expressions }: LayerRule,
  packet: LayerPacket,
): { readonly applies: Answer; readonly verdict?: RuleVerdict } {
  let applies: Answer = "yes";
  for (const expression of expressions) {
    const [[name = "", value] = []] = Object.entries(expression);
    switch (name) {
      case "match": {
        const answer = matches(recordOf(value), packet);
        if (answer === "no") return { applies: "no" };
        if (answer === "unknown") applies = "unknown";
        break;
      }
      case "drop":
      case "reject":
        return { applies, verdict: { kind: "drop" } };
      case "accept":
      case "return":
        return { applies, verdict: { kind: "pass" } };
      case "jump":
      case "goto":
        return { applies, verdict: { kind: "jump", target: String(recordOf(value)["target"]) } };
      case "counter":
      case "log":
      case "comment":
      case "mangle":
        break;
      case "vmap":
      case "queue":
        return { applies: "unknown", verdict: { kind: "drop" } };
      default:
        applies = "unknown";
    }
  }
  return { applies };
}

function matches({ left, op, right }: Expression, packet: LayerPacket): Answer {
  const field = fieldOf(recordOf(left), packet);
  if (field === "never") return "no";
  if (field === undefined || !["==", "!=", "in"].includes(String(op))) return "unknown";
  const answer = isWithin(field, right);
  if (op !== "!=" || answer === "unknown") return answer;
  return answer === "yes" ? "no" : "yes";
}

/** What of the packet is asked for; `never`: such a packet has none. */
function fieldOf({ payload, meta }: Expression, packet: LayerPacket): string | number | "never" | undefined {
  if (meta !== undefined) return metaOf(String(recordOf(meta)["key"]), packet);
  if (payload === undefined) return undefined;
  const { protocol, field } = recordOf(payload);
  const isV6 = packet.destination?.includes(":") === true;
  switch (`${protocol} ${field}`) {
    case "ether type":
      return packet.kind === "arp" ? "arp" : isV6 ? "ip6" : "ip";
    case "ip saddr":
    case "ip6 saddr":
      return ofFamily(protocol, packet, isV6) ? packet.source : "never";
    case "ip daddr":
    case "ip6 daddr":
      return ofFamily(protocol, packet, isV6) ? packet.destination : "never";
    case "ip protocol":
    case "ip6 nexthdr":
      return ofFamily(protocol, packet, isV6) ? packet.protocol : "never";
    case "arp saddr ip":
      return packet.kind === "arp" ? packet.source : "never";
    case "arp daddr ip":
      return packet.kind === "arp" ? packet.destination : "never";
    case "arp htype":
      return packet.kind === "arp" ? 1 : "never";
    case "arp hlen":
      return packet.kind === "arp" ? 6 : "never";
    case "arp plen":
      return packet.kind === "arp" ? 4 : "never";
    case "vlan id":
      return "never";
  }
  if (packet.kind === "arp" && protocol !== "ether" && protocol !== "arp") return "never";
  if (protocol !== "th" && protocol !== packet.protocol)
    return packet.protocol !== undefined && ["tcp", "udp", "sctp", "icmp", "icmpv6"].includes(String(protocol))
      ? "never"
      : undefined;
  return field === "dport" ? packet.port : field === "sport" ? packet.sourcePort : undefined;
}

function ofFamily(protocol: unknown, { kind }: LayerPacket, isV6: boolean): boolean {
  return kind === "ip" && (protocol === "ip6") === isV6;
}

function metaOf(key: string, packet: LayerPacket): string | undefined {
  const isV6 = packet.destination?.includes(":") === true;
  switch (key) {
    case "iifname":
    case "iif":
      return packet.inDevice;
    case "oifname":
    case "oif":
      return packet.outDevice;
    case "ibrname":
    case "obrname":
      return packet.bridge;
    case "protocol":
      return packet.kind === "arp" ? "arp" : isV6 ? "ip6" : "ip";
    case "l4proto":
      return packet.kind === "arp" ? "never" : packet.protocol;
    default:
      return undefined;
  }
}

/** @param value an element of a set, a prefix, a range or a set, as `nft -j` has them */
function isWithin(field: string | number, value: unknown): Answer {
  if (typeof value === "string" && value.startsWith("@")) return "unknown";
  if (typeof value === "string" || typeof value === "number") {
    if (typeof value === "string" && value.endsWith("*")) return toAnswer(String(field).startsWith(value.slice(0, -1)));
    return toAnswer(String(field) === String(value));
  }
  const { prefix, set, range } = recordOf(value);
  if (prefix !== undefined) {
    const { addr, len } = recordOf(prefix);
    const [cidr, address] = [parseCidr(`${addr}/${len}`), parseIpAddress(String(field))];
    return cidr === undefined || address === undefined ? "unknown" : toAnswer(cidrContains(cidr, address));
  }
  if (range !== undefined) {
    const [from, to] = listOf(range).map(Number);
    if (typeof field !== "number" || from === undefined || to === undefined || Number.isNaN(from + to))
      return "unknown";
    return toAnswer(field >= from && field <= to);
  }
  if (set === undefined) return "unknown";
  const answers = listOf(set).map((one) => isWithin(field, one));
  return answers.includes("yes") ? "yes" : answers.includes("unknown") ? "unknown" : "no";
}

function toAnswer(is: boolean): Answer {
  return is ? "yes" : "no";
}
