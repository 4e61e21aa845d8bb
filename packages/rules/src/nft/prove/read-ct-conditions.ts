import type { AddressType } from "../../host/routing.ts";
import { ALL_PORTS, ALL_PROTOCOLS, type CompileContext, type Condition, NEVER } from "../../prove/compile/condition.ts";
import { type IndexSet, NOTHING, singleSet, subtract, unite } from "../../prove/space/index-set.ts";
import type { AddressedField } from "../../prove/space/region.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { formatStatement } from "../format-nft-rule.ts";
import type { DatumPart, NftExpression, NftMatch } from "../nft-rule-set.ts";
import { SYMBOLS } from "../symbols.ts";

import {
  type AskedMatch,
  addressesWhere,
  always,
  entered,
  markConditions,
  numberHolds,
  numbersWhere,
  openOf,
  unknown,
} from "./condition-parts.ts";

export function stateBit(state: (typeof CONNECTION_STATES)[number]): number {
  return SYMBOLS["ct_state"]?.get(state.toLowerCase()) ?? 0;
}

export function statesWhere(holds: (bit: number) => boolean): IndexSet {
  return unite(CONNECTION_STATES.flatMap((state, place) => (holds(stateBit(state)) ? [singleSet(place)] : [])));
}

export const CONNECTED: Condition = { kind: "hasConnection", holds: true, otherwise: false };

export function ctConditions(
  { key, direction }: Extract<NftExpression, { kind: "ct" }>,
  { match, part, context }: AskedMatch,
): readonly Condition[] | undefined {
  const { comparison } = match;
  const negated = comparison === "!=";
  const open = openOf(formatStatement(match));
  const about = (field: AddressedField | "protocol", set: IndexSet): Condition => ({
    kind: "connection",
    field,
    set,
    open,
  });
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
      return [
        CONNECTED,
        { kind: "direction", direction: (part === "original") !== negated ? "ORIGINAL" : "REPLY", open },
      ];
    case "ip saddr":
    case "ip daddr":
    case "ip6 saddr":
    case "ip6 daddr": {
      if (key.startsWith("ip6") !== (context.space.family === 6)) return NEVER;
      const set = direction === "reply" ? undefined : addressesWhere(comparison, part, context);
      if (set === undefined) return [CONNECTED, ...unknown(match)];
      return [CONNECTED, about(key.endsWith("saddr") ? "source" : "destination", set)];
    }
    case "proto-src":
    case "proto-dst": {
      const set = direction === "reply" ? undefined : numbersWhere(comparison, part, ALL_PORTS);
      if (set === undefined) return [CONNECTED, ...unknown(match)];
      return [CONNECTED, about(key === "proto-src" ? "sourcePort" : "destinationPort", set)];
    }
    case "l3proto":
      return [CONNECTED, ...always((part === (context.space.family === 4 ? "ipv4" : "ipv6")) !== negated)];
    case "protocol": {
      const set = numbersWhere(comparison, part, ALL_PROTOCOLS);
      return set === undefined ? [CONNECTED, ...unknown(match)] : [CONNECTED, about("protocol", set)];
    }
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
export function statusBits(match: NftMatch, { mask, value }: { mask: number; value: number }): readonly Condition[] {
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

export function fibConditions(
  { flags, result }: Extract<NftExpression, { kind: "fib" }>,
  { match, part, context }: AskedMatch,
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
