import { unreachable } from "@svcproxy/topology";
import type { Match } from "../../match.ts";
import { protocolNumber } from "../../text/protocol-names.ts";
import { isAnyIcmp } from "../../trace/match/evaluate-match.ts";
import type { IndexSet } from "../space/index-set.ts";
import { singleSet, subtract, unite } from "../space/index-set.ts";
import type { AddressedField } from "../space/region.ts";
import { compileConntrack } from "./compile-conntrack.ts";
import { compileMore } from "./compile-more.ts";
import {
  ALL_PORTS,
  ALL_PROTOCOLS,
  ALL_STATES,
  type CompileContext,
  type Condition,
  entered,
  NEVER,
  type OpenQuestion,
  openQuestion,
  portSet,
  protocols,
  stateSet,
} from "./condition.ts";

const PORT_PROTOCOLS = protocols("tcp", "udp", "udplite", "sctp", "dccp");

/** The conditions that a match stands for; what sets of headers cannot tell becomes an `unknown` with the match's text. */
export function compileMatch(match: Match, context: CompileContext): readonly Condition[] {
  const { space } = context;
  const field = (name: AddressedField, set: IndexSet, negated: boolean, all = space.everything): Condition => ({
    kind: "field",
    field: name,
    set: negated ? subtract(all, set) : set,
  });
  const open = openQuestion(match, space.family);
  const unknown = (): readonly Condition[] => [{ kind: "unknown", open }];
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
      return compilePorts(match, open);
    case "multiport": {
      if (match.direction === "either") return unknown();
      const set = unite(match.ports.map(portSet));
      const end = match.direction === "source" ? "sourcePort" : "destinationPort";
      return [entered("protocol", PORT_PROTOCOLS, false, ALL_PROTOCOLS), field(end, set, match.negated, ALL_PORTS)];
    }
    case "icmp": {
      const isIcmp = entered("protocol", protocols(space.family === 4 ? "icmp" : "ipv6-icmp"), false, ALL_PROTOCOLS);
      if (isAnyIcmp(match, space.family)) return match.negated ? NEVER : [isIcmp];
      return [isIcmp, { kind: "icmp", match, open }];
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
      if (match.mode === "nth") return match.every > 1 ? unknown() : match.negated ? NEVER : [];
      const chance = match.threshold / 2 ** 31;
      return [{ kind: "chance", chance: match.negated ? 1 - chance : chance }];
    }
    case "recent":
      // `! --set` never holds, though it writes the list.
      return match.action === "set" && match.negated
        ? [{ kind: "recent", match }, ...NEVER]
        : [{ kind: "recent", match }];
    case "owner": {
      const options = [match.user, match.group, match.socketExists].filter((option) => option !== undefined);
      const isKnown = match.user === undefined && match.group === undefined;
      const whenLocal = isKnown ? match.socketExists?.negated !== true : "unknown";
      return [{ kind: "local", whenLocal, whenArriving: options.every(({ negated }) => negated), open }];
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
      return unknown();
    case "pkttype":
    case "helper":
    case "devgroup":
    case "connbytes":
    case "policy":
    case "nfacct":
    case "connlabel":
    case "tos":
    case "dscp":
      return compileMore(match, context, open);
    default:
      return unreachable(match);
  }
}

type Unknown = () => readonly Condition[];

function compilePorts(
  match: Extract<Match, { kind: "tcp" | "udp" | "sctp" }>,
  open: OpenQuestion,
): readonly Condition[] {
  const unknown: readonly Condition[] = [{ kind: "unknown", open }];
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
  if (match.kind === "sctp" && match.chunkTypes !== undefined) conditions.push(...unknown);
  if (match.kind !== "tcp") return conditions;
  if (match.option !== undefined) conditions.push(...unknown);
  if (match.flags !== undefined) {
    const { mask, set, negated } = match.flags;
    const isSyn =
      mask.every((flag) => (flag === "SYN") === set.includes(flag)) && set.every((flag) => mask.includes(flag));
    conditions.push({ kind: "firstOnly", holdsForFirst: isSyn !== negated, holdsUntracked: undefined, open });
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
