import { type IpAddress, parseIpAddress } from "@svcproxy/topology";
import type { AddressType } from "../../host/routing.ts";
import {
  ALL_PORTS,
  ALL_PROTOCOLS,
  type CompileContext,
  type Condition,
  NEVER,
  type OpenQuestion,
} from "../../prove/compile/condition.ts";
import { type IndexSet, NOTHING, rangeSet, singleSet, subtract, unite } from "../../prove/space/index-set.ts";
import type { AddressedField } from "../../prove/space/region.ts";
import { protocolNumber } from "../../text/protocol-names.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { formatStatement } from "../format-nft-rule.ts";
import type { DatumPart, NftComparison, NftExpression, NftMatch } from "../nft-rule-set.ts";
import { SYMBOLS } from "../symbols.ts";
import { chanceOfMatch } from "./chance-of-match.ts";

/**
 * The conditions that a match stands for, all of which must hold; undefined where it is to be looked up among elements, part
 * by part.
 */
export function readConditions(match: NftMatch, context: CompileContext): readonly Condition[] | undefined {
  const { left, right } = match;
  const chance = chanceOfMatch(match);
  if (chance !== undefined) return [{ kind: "chance", chance }];
  if (right.kind === "set") return undefined;
  const [part, ...others] = right.parts;
  if (part === undefined || others.length > 0) return undefined;
  const asked: Asked = { match, part, context };
  switch (left.kind) {
    case "payload":
      return payloadConditions(left, asked);
    case "meta":
      return metaConditions(left.key, asked);
    case "ct":
      return ctConditions(left, asked);
    case "fib":
      return fibConditions(left, asked);
    case "bitwise":
      return maskedConditions(left, asked);
    default:
      return unknown(match);
  }
}

interface Asked {
  readonly match: NftMatch;
  readonly part: DatumPart;
  readonly context: CompileContext;
}

export function openOf(text: string, { isVolatile = false }: { readonly isVolatile?: boolean } = {}): OpenQuestion {
  // What it looks at is not known: asked again after any change, it may answer otherwise.
  const reads = ["address", "port", "interface", "mark", "tos", "ttl", "connection", "connectionMark"] as const;
  return { text, reads, isVolatile };
}

function unknown(match: NftMatch): readonly Condition[] {
  return [{ kind: "unknown", open: openOf(formatStatement(match)) }];
}

/** The numbers for which a comparison holds; undefined where it has no order or no numbers. */
export function numbersWhere(comparison: NftComparison, part: DatumPart, all: IndexSet): IndexSet | undefined {
  const { from, to } = typeof part === "object" ? part : { from: part, to: part };
  if (typeof from !== "number" || typeof to !== "number") return undefined;
  const end = all.at(-1) ?? 0;
  const within = rangeSet(Math.min(from, end), Math.min(to + 1, end));
  switch (comparison) {
    case "==":
      return within;
    case "!=":
      return subtract(all, within);
    case "<":
      return rangeSet(0, Math.min(from, end));
    case "<=":
      return rangeSet(0, Math.min(from + 1, end));
    case ">":
      return rangeSet(Math.min(from + 1, end), end);
    case ">=":
      return rangeSet(Math.min(from, end), end);
    default:
      return undefined;
  }
}

export function entered(field: Extract<Condition, { kind: "entered" }>["field"], set: IndexSet): Condition {
  return { kind: "entered", field, set };
}

const PORT_FIELDS: Readonly<Record<string, AddressedField>> = { sport: "sourcePort", dport: "destinationPort" };

/** What must hold for a header to be there; nft asks for it without listing it. */
export function headerConditions(header: string, { space }: CompileContext): readonly Condition[] | undefined {
  switch (header) {
    case "ip":
      return space.family === 4 ? [] : NEVER;
    case "ip6":
      return space.family === 6 ? [] : NEVER;
    case "th":
      return [];
    case "comp":
      return [entered("protocol", singleSet(108))];
    default: {
      const number = protocolNumber(header === "icmpv6" ? "ipv6-icmp" : header);
      return number === undefined ? undefined : [entered("protocol", singleSet(number))];
    }
  }
}

function payloadConditions(
  { header, field }: Extract<NftExpression, { kind: "payload" }>,
  { match, part, context }: Asked,
): readonly Condition[] | undefined {
  const needed = headerConditions(header, context);
  if (needed === undefined) return unknown(match);
  if (needed === NEVER) return NEVER;
  if (field === "saddr" || field === "daddr") {
    const set = addressesWhere(match.comparison, part, context);
    return set === undefined
      ? unknown(match)
      : [{ kind: "field", field: field === "saddr" ? "source" : "destination", set }];
  }
  const port = PORT_FIELDS[field];
  if (port !== undefined) {
    // Of protocols without ports `th` reads something else.
    if (header === "th") return undefined;
    const set = numbersWhere(match.comparison, part, ALL_PORTS);
    return set === undefined ? unknown(match) : [...needed, { kind: "field", field: port, set }];
  }
  if (field === "protocol" || field === "nexthdr") return protocolConditions({ match, part });
  if (field === "dscp" && typeof part === "number" && (match.comparison === "==" || match.comparison === "!="))
    return [
      ...needed,
      {
        kind: "tos",
        cube: { care: 0xfc, value: part << 2 },
        negated: match.comparison === "!=",
        open: openOf(formatStatement(match)),
      },
    ];
  if (header === "tcp" && field === "flags") return [...needed, ...flagConditions({ match, part })];
  if ((header === "icmp" || header === "icmpv6") && field === "type" && typeof part === "number")
    return [...needed, icmpCondition(match, part)];
  return [...needed, ...unknown(match)];
}

function icmpCondition(match: NftMatch, type: number): Condition {
  const open = openOf(formatStatement(match));
  if (match.comparison !== "==" && match.comparison !== "!=") return { kind: "unknown", open };
  return { kind: "icmp", match: { kind: "icmp", negated: match.comparison === "!=", type }, open };
}

function protocolConditions({ match, part }: Pick<Asked, "match" | "part">): readonly Condition[] {
  const set = numbersWhere(match.comparison, part, ALL_PROTOCOLS);
  return set === undefined ? unknown(match) : [entered("protocol", set)];
}

/** A new connection's first packet has SYN alone. */
function flagConditions({ match, part }: Pick<Asked, "match" | "part">, mask = 0xff): readonly Condition[] {
  const syn = 2 & mask;
  const holds = typeof part === "number" ? numberHolds(match.comparison, syn, part) : undefined;
  if (holds === undefined) return unknown(match);
  return [{ kind: "firstOnly", holdsForFirst: holds, holdsUntracked: undefined, open: openOf(formatStatement(match)) }];
}

export function numberHolds(comparison: NftComparison, value: number, part: number): boolean {
  switch (comparison) {
    case "==":
      return value === part;
    case "!=":
      return value !== part;
    case "any":
      return (value & part) !== 0;
    case "none":
      return (value & part) === 0;
    case "<":
      return value < part;
    case "<=":
      return value <= part;
    case ">":
      return value > part;
    case ">=":
      return value >= part;
  }
}

/** The pieces of addresses for which a comparison holds. */
function addressesWhere(comparison: NftComparison, part: DatumPart, { space }: CompileContext): IndexSet | undefined {
  const { from, to } = typeof part === "object" ? part : { from: part, to: part };
  const [first, last] = [addressIn(from, space.family), addressIn(to, space.family)];
  if (first === undefined || last === undefined) return undefined;
  const within = space.setBetween(first, last);
  const start = within[0] ?? 0;
  const end = within.at(-1) ?? 0;
  switch (comparison) {
    case "==":
      return within;
    case "!=":
      return subtract(space.everything, within);
    case "<":
      return rangeSet(0, start);
    case "<=":
      return rangeSet(0, end);
    case ">":
      return rangeSet(end, space.size);
    case ">=":
      return rangeSet(start, space.size);
    default:
      return undefined;
  }
}

function addressIn(datum: number | string, family: 4 | 6): IpAddress | undefined {
  const address = typeof datum === "string" ? parseIpAddress(datum) : undefined;
  return address !== undefined && address.includes(":") === (family === 6) ? address : undefined;
}

function metaConditions(key: string, { match, part, context }: Asked): readonly Condition[] | undefined {
  const { comparison } = match;
  const negated = comparison === "!=";
  const isEquality = comparison === "==" || negated;
  switch (key) {
    case "l4proto":
      return protocolConditions({ match, part });
    case "nfproto":
      return isEquality
        ? always((part === (context.space.family === 4 ? "ipv4" : "ipv6")) !== negated)
        : unknown(match);
    case "protocol":
      return isEquality
        ? always((part === (context.space.family === 4 ? 0x0800 : 0x86dd)) !== negated)
        : unknown(match);
    case "mark":
      return markConditions("mark", { match, part, mask: 0xffffffff });
    case "iif":
    case "iifname":
    case "oif":
    case "oifname": {
      if (!isEquality || typeof part !== "string") return unknown(match);
      // iptables' names end in + where nft's end in *.
      const name = part.endsWith("*") ? `${part.slice(0, -1)}+` : part;
      return [{ kind: key.startsWith("i") ? "inInterface" : "outInterface", name, negated }];
    }
    case "priority":
      return undefined;
    default:
      return unknown(match);
  }
}

export function always(holds: boolean): readonly Condition[] {
  return holds ? [] : NEVER;
}

function markConditions(
  kind: "mark" | "connectionMark",
  { match, part, mask }: { match: NftMatch; part: DatumPart; mask: number },
): readonly Condition[] | undefined {
  const { comparison } = match;
  if (typeof part !== "number") return undefined;
  if (comparison !== "==" && comparison !== "!=") return unknown(match);
  const negated = comparison === "!=";
  const hasConnection: readonly Condition[] =
    kind === "connectionMark" ? [{ kind: "hasConnection", holds: true, otherwise: false }] : [];
  // What the mask leaves out is never set.
  if ((part & ~mask) !== 0) return [...hasConnection, ...always(negated)];
  return [...hasConnection, { kind, cube: { care: mask, value: part }, negated }];
}

/** `meta mark & 0x4000 == 0x4000`, `tcp flags & (syn | ack) == syn`. */
function maskedConditions(
  { operator, left, right }: Extract<NftExpression, { kind: "bitwise" }>,
  { match, part, context }: Asked,
): readonly Condition[] | undefined {
  const mask = right.kind === "literal" ? right.parts[0] : undefined;
  if (operator !== "&" || typeof mask !== "number") return isReadable(left) ? undefined : unknown(match);
  if (left.kind === "meta" && left.key === "mark") return markConditions("mark", { match, part, mask });
  if (left.kind === "ct" && left.key === "mark") return markConditions("connectionMark", { match, part, mask });
  if (left.kind === "meta" && left.key === "priority") return undefined;
  if (left.kind === "payload" && left.header === "tcp" && left.field === "flags")
    return [...(headerConditions("tcp", context) ?? []), ...flagConditions({ match, part }, mask)];
  if (
    left.kind === "payload" &&
    left.header === "ip" &&
    left.field === "frag-off" &&
    (mask & ~0x1fff) === 0 &&
    typeof part === "number"
  )
    return context.space.family === 4 ? always(numberHolds(match.comparison, 0, part)) : NEVER;
  if (left.kind === "ct" && left.key === "state" && typeof part === "number")
    return [
      entered(
        "state",
        statesWhere((bit) => numberHolds(match.comparison, bit & mask, part)),
      ),
    ];
  if (left.kind === "ct" && left.key === "status" && typeof part === "number" && match.comparison === "==")
    return statusBits(match, { mask, value: part });
  return unknown(match);
}

/** Whether the parts of an expression can be read one by one. */
function isReadable(expression: NftExpression): boolean {
  if (expression.kind === "bitwise") return isReadable(expression.left);
  return (
    (expression.kind === "meta" || expression.kind === "ct") &&
    (expression.key === "mark" || expression.key === "priority")
  );
}

export function stateBit(state: (typeof CONNECTION_STATES)[number]): number {
  return SYMBOLS["ct_state"]?.get(state.toLowerCase()) ?? 0;
}

function statesWhere(holds: (bit: number) => boolean): IndexSet {
  return unite(CONNECTION_STATES.flatMap((state, place) => (holds(stateBit(state)) ? [singleSet(place)] : [])));
}

export const CONNECTED: Condition = { kind: "hasConnection", holds: true, otherwise: false };

function ctConditions(
  { key, direction }: Extract<NftExpression, { kind: "ct" }>,
  { match, part, context }: Asked,
): readonly Condition[] | undefined {
  const { comparison } = match;
  const negated = comparison === "!=";
  switch (key) {
    case "state":
      return typeof part === "number"
        ? [
            entered(
              "state",
              statesWhere((bit) => numberHolds(comparison, bit, part)),
            ),
          ]
        : unknown(match);
    case "status":
      return statusConditions(match, part);
    case "mark":
      return markConditions("connectionMark", { match, part, mask: 0xffffffff });
    case "direction":
      if (part !== "original" && part !== "reply") return [CONNECTED, ...unknown(match)];
      return [CONNECTED, { kind: "direction", direction: (part === "original") !== negated ? "ORIGINAL" : "REPLY" }];
    case "ip saddr":
    case "ip daddr":
    case "ip6 saddr":
    case "ip6 daddr": {
      if (key.startsWith("ip6") !== (context.space.family === 6)) return NEVER;
      const set = direction === "reply" ? undefined : addressesWhere(comparison, part, context);
      if (set === undefined) return [CONNECTED, ...unknown(match)];
      return [CONNECTED, entered(key.endsWith("saddr") ? "source" : "destination", set)];
    }
    case "proto-src":
    case "proto-dst": {
      const set = direction === "reply" ? undefined : numbersWhere(comparison, part, ALL_PORTS);
      if (set === undefined) return [CONNECTED, ...unknown(match)];
      return [CONNECTED, entered(key === "proto-src" ? "sourcePort" : "destinationPort", set)];
    }
    case "l3proto":
      return [CONNECTED, ...always((part === (context.space.family === 4 ? "ipv4" : "ipv6")) !== negated)];
    case "protocol":
      return [CONNECTED, ...protocolConditions({ match, part })];
    default:
      return [CONNECTED, ...unknown(match)];
  }
}

const SNAT = 16;
const DNAT = 32;

/** Which ends of a connection were mapped is known, of its other flags little. */
function statusConditions(match: NftMatch, part: DatumPart): readonly Condition[] {
  const { comparison } = match;
  if (typeof part !== "number" || (part & ~(SNAT | DNAT)) !== 0 || (comparison !== "any" && comparison !== "none"))
    return [CONNECTED, ...unknown(match)];
  return [CONNECTED, translated(part, comparison === "none")];
}

function translated(bits: number, negated: boolean): Condition {
  const ends = [
    ...((bits & SNAT) === 0 ? [] : ["source" as const]),
    ...((bits & DNAT) === 0 ? [] : ["destination" as const]),
  ];
  return { kind: "translated", ends, states: NOTHING, negated };
}

/** `ct status & (snat | dnat) == dnat`. */
function statusBits(match: NftMatch, { mask, value }: { mask: number; value: number }): readonly Condition[] {
  if ((mask & ~(SNAT | DNAT)) !== 0) return [CONNECTED, ...unknown(match)];
  if ((value & ~mask) !== 0) return NEVER;
  return [
    CONNECTED,
    ...[SNAT, DNAT].flatMap((bit) => ((mask & bit) === 0 ? [] : [translated(bit, (value & bit) === 0)])),
  ];
}

const FIB_TYPES: Readonly<Record<4 | 6, readonly string[]>> = {
  4: ["local", "unicast", "broadcast", "multicast", "anycast", "blackhole", "unreachable", "prohibit", "throw"],
  6: ["local", "multicast"],
};

function fibConditions(
  { flags, result }: Extract<NftExpression, { kind: "fib" }>,
  { match, part, context }: Asked,
): readonly Condition[] {
  const negated = match.comparison === "!=";
  const isEquality = match.comparison === "==" || negated;
  if (!isEquality || typeof part !== "string") return unknown(match);
  if (result === "type") {
    if (flags.length > 1 || !FIB_TYPES[context.space.family].includes(part)) return unknown(match);
    const set = fibSet(part, context);
    const field = flags[0] === "daddr" ? "destination" : "source";
    return [{ kind: "field", field, set: negated ? subtract(context.space.everything, set) : set }];
  }
  // Packets come by the interface behind which their source lives: the way back is theirs.
  const isWayBack = flags.includes("saddr") && flags.includes("iif") && part === "";
  if (!isWayBack) return unknown(match);
  return [{ kind: "local", whenLocal: "unknown", whenArriving: negated, open: openOf(formatStatement(match)) }];
}

export function fibSet(type: string, { host }: Pick<CompileContext, "host">): IndexSet {
  const wanted = ADDRESS_TYPES.find((one) => one === type.toUpperCase());
  return wanted === undefined ? NOTHING : host.typeSet(wanted);
}

const ADDRESS_TYPES: readonly AddressType[] = [
  ...(["LOCAL", "UNICAST", "BROADCAST", "MULTICAST", "ANYCAST"] as const),
  ...(["BLACKHOLE", "UNREACHABLE", "PROHIBIT", "THROW"] as const),
];
