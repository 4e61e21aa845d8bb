import type {
  Datum,
  DatumPart,
  NftElement,
  NftExpression,
  NftMatch,
  NftOperand,
  NftSetReference,
  NftTable,
} from "@svcproxy/rules";
import { addressBits, parseIpAddress } from "@svcproxy/topology";
import { type AskedPacket, PROTOCOL_NUMBERS } from "./asked-packet.ts";

/** Whether something is so of a packet; `maybe`: it depends on what is not asked about, for instance where it came in. */
export type Answer = "yes" | "no" | "maybe";

/** @see linux enum ip_conntrack_status, IPS_DST_NAT; enum ip_conntrack_info: `new` as nft numbers it */
const DST_NAT = 32;
const STATE_NEW = 8;

/** Whether a packet meets a match of a rule. */
export function answerMatch({ left, comparison, right }: NftMatch, packet: AskedPacket, table: NftTable): Answer {
  const value = askedValue(left, packet);
  if (value === "none") return "no";
  if (value === undefined) return "maybe";
  switch (comparison) {
    case "==":
      return answerOperand(value, right, table);
    case "!=":
      return not(answerOperand(value, right, table));
    case "any":
      return answerFlags(value, right);
    case "none":
      return not(answerFlags(value, right));
    default:
      return "maybe";
  }
}

/** The elements of a map that a key may find, and whether it does for certain. */
export function lookUp(
  key: NftExpression,
  map: NftSetReference,
  { packet, table }: { readonly packet: AskedPacket; readonly table: NftTable },
): readonly { readonly element: NftElement; readonly answer: Answer }[] {
  const value = askedValue(key, packet);
  if (value === "none") return [];
  const { elements, isKnown } = elementsOf(map, table);
  return elements.flatMap((element) => {
    const answer = value === undefined || !isKnown ? "maybe" : answerParts(value, element.key);
    return answer === "no" ? [] : [{ element, answer }];
  });
}

type Value = readonly (Datum | undefined)[];

/** Undefined: not known of this packet; `none`: it has no such field, so that no rule about it holds. */
function askedValue(expression: NftExpression, packet: AskedPacket): Value | "none" | undefined {
  switch (expression.kind) {
    case "payload":
      return fieldOf(expression, packet);
    case "meta":
      return expression.key === "l4proto" ? [PROTOCOL_NUMBERS[packet.protocol]] : undefined;
    case "ct":
      if (expression.direction !== undefined) return undefined;
      if (expression.key === "status") return [packet.isTranslated ? DST_NAT : 0];
      return expression.key === "state" ? [STATE_NEW] : undefined;
    case "fib": {
      const asksDestination = expression.result === "type" && expression.flags.join() === "daddr";
      return asksDestination && packet.address === undefined ? ["local"] : undefined;
    }
    case "concat": {
      const parts: (Datum | undefined)[] = [];
      for (const part of expression.parts) {
        const value = askedValue(part, packet);
        if (value === "none") return "none";
        parts.push(...(value ?? [undefined]));
      }
      return parts;
    }
    default:
      return undefined;
  }
}

function fieldOf(
  { header, field }: { readonly header: string; readonly field: string },
  packet: AskedPacket,
): Value | "none" | undefined {
  const { family, address, protocol, port } = packet;
  if (header === "ip" || header === "ip6") {
    if ((header === "ip") !== (family === 4)) return "none";
    if (field === "daddr") return address === undefined ? undefined : [address];
    return field === "protocol" || field === "nexthdr" ? [PROTOCOL_NUMBERS[protocol]] : undefined;
  }
  if (header !== "th" && header !== protocol)
    return ["tcp", "udp", "sctp", "icmp", "icmpv6"].includes(header) ? "none" : undefined;
  return field === "dport" ? [port] : undefined;
}

function answerOperand(value: Value, operand: NftOperand, table: NftTable): Answer {
  if (operand.kind === "value") return answerParts(value, operand.parts);
  const { elements, isKnown } = elementsOf(operand.set, table);
  if (!isKnown) return "maybe";
  const answers = elements.map(({ key }) => answerParts(value, key));
  return answers.includes("yes") ? "yes" : answers.includes("maybe") ? "maybe" : "no";
}

function elementsOf(
  set: NftSetReference,
  table: NftTable,
): { readonly elements: readonly NftElement[]; readonly isKnown: boolean } {
  if (set.kind === "anonymous") return { elements: set.elements, isKnown: true };
  const named = table.sets.get(set.name);
  if (named === undefined) return { elements: [], isKnown: false };
  return { elements: named.elements, isKnown: !named.isDynamic && named.unread === undefined };
}

function answerFlags([value]: Value, operand: NftOperand): Answer {
  if (operand.kind !== "value" || typeof value !== "number") return "maybe";
  const [flags] = operand.parts;
  return typeof flags !== "number" ? "maybe" : (value & flags) !== 0 ? "yes" : "no";
}

function answerParts(value: Value, parts: readonly DatumPart[]): Answer {
  if (parts.length === 0) return "yes"; // the catch-all element
  if (parts.length !== value.length) return "maybe";
  const answers = parts.map((part, index) => answerPart(value[index], part));
  return answers.includes("no") ? "no" : answers.includes("maybe") ? "maybe" : "yes";
}

function answerPart(value: Datum | undefined, part: DatumPart): Answer {
  if (value === undefined) return "maybe";
  if (typeof part !== "object") return value === part ? "yes" : "no";
  const [at, from, to] = [value, part.from, part.to].map(orderOf);
  if (at === undefined || from === undefined || to === undefined) return "maybe";
  return from <= at && at <= to ? "yes" : "no";
}

function orderOf(datum: Datum): bigint | undefined {
  if (typeof datum === "number") return BigInt(datum);
  const address = parseIpAddress(datum);
  return address === undefined ? undefined : addressBits(address);
}

function not(answer: Answer): Answer {
  return answer === "maybe" ? "maybe" : answer === "yes" ? "no" : "yes";
}

/** Both, of two. */
export function both(a: Answer, b: Answer): Answer {
  return a === "no" || b === "no" ? "no" : a === "maybe" || b === "maybe" ? "maybe" : "yes";
}
