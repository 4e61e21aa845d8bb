import { ALL_PORTS, type CompileContext, type Condition, NEVER } from "../../prove/compile/condition.ts";
import { singleSet } from "../../prove/space/index-set.ts";
import type { AddressedField } from "../../prove/space/region.ts";
import { protocolNumber } from "../../text/protocol-names.ts";
import { formatStatement } from "../format-nft-rule.ts";
import type { NftExpression, NftMatch } from "../nft-rule-set.ts";
import { chanceOfMatch } from "./chance-of-match.ts";
import {
  type AskedMatch,
  addressesWhere,
  always,
  entered,
  markConditions,
  numberHolds,
  numbersWhere,
  openOf,
  protocolConditions,
  unknown,
} from "./condition-parts.ts";
import { ctConditions, fibConditions, statesWhere, statusBits } from "./read-ct-conditions.ts";

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
  const asked: AskedMatch = { match, part, context };
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
  { match, part, context }: AskedMatch,
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

/** A new connection's first packet has SYN alone. */
function flagConditions({ match, part }: Pick<AskedMatch, "match" | "part">, mask = 0xff): readonly Condition[] {
  const syn = 2 & mask;
  const holds = typeof part === "number" ? numberHolds(match.comparison, syn, part) : undefined;
  if (holds === undefined) return unknown(match);
  return [{ kind: "firstOnly", holdsForFirst: holds, holdsUntracked: undefined, open: openOf(formatStatement(match)) }];
}

function metaConditions(key: string, { match, part, context }: AskedMatch): readonly Condition[] | undefined {
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

/** `meta mark & 0x4000 == 0x4000`, `tcp flags & (syn | ack) == syn`. */
function maskedConditions(
  { operator, left, right }: Extract<NftExpression, { kind: "bitwise" }>,
  { match, part, context }: AskedMatch,
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
