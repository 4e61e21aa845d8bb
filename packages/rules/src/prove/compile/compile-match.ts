import type { Match, NumberRange } from "../../rule-set.ts";
import { formatMatch } from "../../text/format-match.ts";
import { protocolNumber } from "../../text/protocol-names.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import type { AddressSpace } from "../space/address-space.ts";
import type { HostSpace } from "../space/host-space.ts";
import type { IndexSet } from "../space/index-set.ts";
import { rangeSet, singleSet, subtract, unite } from "../space/index-set.ts";
import type { MarkCube } from "../space/mark-set.ts";
import type { AddressedField } from "../space/region.ts";

/** One condition of a rule, ready to be asked of whole sets of packets. All of a rule's conditions must hold. */
export type Condition =
  /** On the header as it is now. */
  | { readonly kind: "field"; readonly field: AddressedField; readonly set: IndexSet }
  /** On the packet as it entered: what does not change, or what conntrack remembers. */
  | { readonly kind: "entered"; readonly field: AddressedField | "protocol" | "state"; readonly set: IndexSet }
  | { readonly kind: "mark" | "connectionMark"; readonly cube: MarkCube; readonly negated: boolean }
  | { readonly kind: "inInterface"; readonly name: string; readonly negated: boolean }
  | { readonly kind: "outInterface"; readonly name: string; readonly negated: boolean }
  | {
      readonly kind: "translated";
      readonly ends: readonly ("source" | "destination")[];
      readonly states: IndexSet;
      readonly negated: boolean;
    }
  | { readonly kind: "direction"; readonly direction: "ORIGINAL" | "REPLY" }
  | {
      readonly kind: "local";
      readonly whenLocal: boolean | "unknown";
      readonly whenArriving: boolean;
      readonly text: string;
    }
  | { readonly kind: "synOnly"; readonly holdsForSyn: boolean; readonly text: string }
  | { readonly kind: "never" }
  | { readonly kind: "chance"; readonly chance: number }
  | { readonly kind: "recent"; readonly match: Extract<Match, { kind: "recent" }> }
  | { readonly kind: "unknown"; readonly text: string; readonly isVolatile: boolean };

export interface CompileContext {
  readonly space: AddressSpace;
  readonly host: HostSpace;
}

export const ALL_PORTS = rangeSet(0, 65536);
export const ALL_PROTOCOLS = rangeSet(0, 256);
export const ALL_STATES = rangeSet(0, CONNECTION_STATES.length);
export const NEW_STATE = singleSet(CONNECTION_STATES.indexOf("NEW"));

const NEVER: readonly Condition[] = [{ kind: "never" }];
const PORT_PROTOCOLS = protocols("tcp", "udp", "udplite", "sctp", "dccp");

/** The conditions that a match stands for; what sets of headers cannot tell becomes an `unknown` with the match's text. */
export function compileMatch(match: Match, context: CompileContext): readonly Condition[] {
  const { space } = context;
  const field = (name: AddressedField, set: IndexSet, negated: boolean, all = space.everything): Condition => ({
    kind: "field",
    field: name,
    set: negated ? subtract(all, set) : set,
  });
  const unknown = (isVolatile = false): readonly Condition[] => [
    { kind: "unknown", text: formatMatch(match, { style: "save", family: space.family }), isVolatile },
  ];
  switch (match.kind) {
    case "comment":
      return [];
    case "source":
    case "destination":
      return [field(match.kind, space.setOf(match.cidr), match.negated)];
    case "inInterface":
    case "outInterface":
      return [{ kind: match.kind, name: match.name, negated: match.negated }];
    case "protocol": {
      const number = protocolNumber(match.protocol);
      if (number === undefined || number > 255) return unknown();
      return [entered("protocol", singleSet(number), match.negated, ALL_PROTOCOLS)];
    }
    case "fragment":
      return match.negated ? [] : NEVER;
    case "tcp":
    case "udp":
    case "sctp":
      return compilePorts(match, unknown);
    case "multiport": {
      if (match.direction === "either") return unknown();
      const set = unite(match.ports.map(portSet));
      const end = match.direction === "source" ? "sourcePort" : "destinationPort";
      return [entered("protocol", PORT_PROTOCOLS, false, ALL_PROTOCOLS), field(end, set, match.negated, ALL_PORTS)];
    }
    case "icmp": {
      const isIcmp = entered("protocol", protocols(space.family === 4 ? "icmp" : "ipv6-icmp"), false, ALL_PROTOCOLS);
      return match.type === "any" && !match.negated ? [isIcmp] : [isIcmp, ...unknown()];
    }
    case "addrtype":
      return compileAddressType(match, context, unknown);
    case "iprange":
      return [
        ...(match.source
          ? [field("source", space.setBetween(match.source.from, match.source.to), match.source.negated)]
          : []),
        ...(match.destination
          ? [
              field(
                "destination",
                space.setBetween(match.destination.from, match.destination.to),
                match.destination.negated,
              ),
            ]
          : []),
      ];
    case "mark":
    case "connmark": {
      const { value, mask, negated } = match;
      // No mark has a bit outside of the mask that it is compared under.
      if ((value & ~mask) !== 0) return negated ? [] : NEVER;
      return [{ kind: match.kind === "mark" ? "mark" : "connectionMark", cube: { care: mask, value }, negated }];
    }
    case "conntrack":
      return compileConntrack(match, context, unknown);
    case "state":
      return [entered("state", stateSet(match.states), match.negated, ALL_STATES)];
    case "statistic": {
      if (match.mode === "nth") return match.every > 1 ? unknown(true) : match.negated ? NEVER : [];
      const chance = match.threshold / 2 ** 31;
      return [{ kind: "chance", chance: match.negated ? 1 - chance : chance }];
    }
    case "recent":
      return [{ kind: "recent", match }];
    case "owner": {
      const options = [match.user, match.group, match.socketExists].filter((option) => option !== undefined);
      const isKnown = match.user === undefined && match.group === undefined;
      const whenLocal = isKnown ? match.socketExists?.negated !== true : "unknown";
      const text = formatMatch(match, { style: "save", family: space.family });
      return [{ kind: "local", whenLocal, whenArriving: options.every(({ negated }) => negated), text }];
    }
    case "rpfilter":
      // Only packets that come by the interface behind which their source lives are looked at.
      return match.invert ? NEVER : [];
    case "limit":
    case "socket":
    case "set":
    case "physdev":
    case "mac":
    case "length":
    case "ttl":
    case "unknown":
      return unknown(match.kind === "limit" || match.kind === "unknown");
  }
}

function entered(
  field: AddressedField | "protocol" | "state",
  set: IndexSet,
  negated: boolean,
  all: IndexSet,
): Condition {
  return { kind: "entered", field, set: negated ? subtract(all, set) : set };
}

export function protocols(...names: readonly string[]): IndexSet {
  return unite(names.map((name) => singleSet(protocolNumber(name) ?? 0)));
}

export function portSet({ from, to }: NumberRange): IndexSet {
  return rangeSet(from, to + 1);
}

function stateSet(states: readonly string[]): IndexSet {
  return unite(CONNECTION_STATES.flatMap((state, place) => (states.includes(state) ? [singleSet(place)] : [])));
}

type Unknown = () => readonly Condition[];

function compilePorts(match: Extract<Match, { kind: "tcp" | "udp" | "sctp" }>, unknown: Unknown): readonly Condition[] {
  const protocol = match.kind === "udp" ? protocols("udp", "udplite") : protocols(match.kind);
  const conditions: Condition[] = [entered("protocol", protocol, false, ALL_PROTOCOLS)];
  for (const [field, range] of [
    ["sourcePort", match.sourcePorts],
    ["destinationPort", match.destinationPorts],
  ] as const) {
    if (range === undefined) continue;
    const set = portSet(range);
    conditions.push({ kind: "field", field, set: range.negated ? subtract(ALL_PORTS, set) : set });
  }
  if (match.kind === "sctp" && match.chunkTypes !== undefined) conditions.push(...unknown());
  if (match.kind !== "tcp") return conditions;
  if (match.option !== undefined) conditions.push(...unknown());
  if (match.flags !== undefined) {
    const { mask, set, negated } = match.flags;
    const isSyn =
      mask.every((flag) => (flag === "SYN") === set.includes(flag)) && set.every((flag) => mask.includes(flag));
    const text = formatMatch(match, { style: "save", family: 4 });
    conditions.push({ kind: "synOnly", holdsForSyn: isSyn !== negated, text });
  }
  return conditions;
}

function compileAddressType(
  match: Extract<Match, { kind: "addrtype" }>,
  { space, host }: CompileContext,
  unknown: Unknown,
): readonly Condition[] {
  if (match.limitInterface !== undefined) return unknown();
  const known = [
    "LOCAL",
    "UNICAST",
    "BROADCAST",
    "MULTICAST",
    "ANYCAST",
    "UNSPEC",
    "BLACKHOLE",
    "UNREACHABLE",
    "PROHIBIT",
    "THROW",
  ] as const;
  return (["source", "destination"] as const).flatMap((field): readonly Condition[] => {
    const wanted = match[field];
    if (wanted === undefined) return [];
    const set = unite(known.filter((type) => wanted.types.includes(type)).map((type) => host.typeSet(type)));
    return [{ kind: "field", field, set: wanted.negated ? subtract(space.everything, set) : set }];
  });
}

/** States in which a packet has a connection. */
const CONNECTED = stateSet(["NEW", "ESTABLISHED", "RELATED"]);

function compileConntrack(
  match: Extract<Match, { kind: "conntrack" }>,
  { space }: CompileContext,
  unknown: Unknown,
): readonly Condition[] {
  const { states, originalSource, originalDestination, originalSourcePorts, originalDestinationPorts } = match;
  const conditions: Condition[] = [];
  if (states !== undefined) {
    const set = stateSet(states.states);
    const ends = (["SNAT", "DNAT"] as const).filter((name) => states.states.includes(name));
    if (ends.length === 0) conditions.push(entered("state", set, states.negated, ALL_STATES));
    else {
      const translated = ends.map((name) => (name === "SNAT" ? "source" : "destination") as "source" | "destination");
      conditions.push({ kind: "translated", ends: translated, states: set, negated: states.negated });
    }
  }
  const other = { ...match, states: undefined, kind: undefined };
  if (Object.values(other).every((part) => part === undefined)) return conditions;
  conditions.push(entered("state", CONNECTED, false, ALL_STATES));
  for (const [field, end] of [
    ["source", originalSource],
    ["destination", originalDestination],
  ] as const) {
    if (end !== undefined) conditions.push(entered(field, space.setOf(end.cidr), end.negated, space.everything));
  }
  for (const [field, range] of [
    ["sourcePort", originalSourcePorts],
    ["destinationPort", originalDestinationPorts],
  ] as const) {
    if (range !== undefined) conditions.push(entered(field, portSet(range), range.negated, ALL_PORTS));
  }
  if (match.direction !== undefined) conditions.push({ kind: "direction", direction: match.direction });
  if (match.protocol !== undefined) {
    const number = protocolNumber(match.protocol.protocol);
    if (number === undefined) return [...conditions, ...unknown()];
    conditions.push(entered("protocol", singleSet(number), match.protocol.negated, ALL_PROTOCOLS));
  }
  const { replySource, replyDestination, replySourcePorts, replyDestinationPorts, status, expire } = match;
  const rest = [replySource, replyDestination, replySourcePorts, replyDestinationPorts, status, expire];
  return rest.some((part) => part !== undefined) ? [...conditions, ...unknown()] : conditions;
}
