import { addressBits, familyOf, parseIpAddress } from "@svcproxy/topology";
import { type MatchResult, NO, unknown, YES } from "../../trace/match/match-result.ts";
import { add, type Fraction, fractionOf, isZero, ONE, ZERO } from "../../trace/packet/fraction.ts";
import type { Datum, DatumPart, NftComparison, NftMatch } from "../nft-rule-set.ts";
import { randomBits } from "../random-bits.ts";
import type { NftAsked } from "./asked.ts";
import { evaluateExpression, lookUp } from "./evaluate-expression.ts";
import { describeDoubt, isIn } from "./set-lookup.ts";
import type { Value } from "./value.ts";

/** Whether a condition holds: by a chance where a number is drawn. */
export function evaluateCondition(match: NftMatch, asked: NftAsked): MatchResult {
  const random = randomCondition(match);
  if (random !== undefined) return random;
  let holds: Fraction = ZERO;
  for (const { chance, values } of evaluateExpression(match.left, asked)) {
    const result = values === "none" ? NO : compareWith(match, values, asked);
    if (result.outcome === "unknown") return result;
    if (result.outcome === "yes") holds = add(holds, chance);
  }
  if (isZero(holds)) return NO;
  return holds.bits === 0 && holds.numerator === ONE.numerator ? YES : { outcome: "chance", chance: holds };
}

function compareWith(match: NftMatch, values: readonly Value[], asked: NftAsked): MatchResult {
  const { right, comparison } = match;
  if (right.kind === "set") {
    const found = lookUp(right.set, values, asked);
    if (found.kind === "unknown") return unknown(found.because);
    return (found.kind === "found") === (comparison !== "!=") ? YES : NO;
  }
  if (right.parts.length === 1 && values[0] !== undefined && right.parts[0] !== undefined)
    return compare(values[0], comparison, right.parts[0]);
  const answers = right.parts.map((part, at) => (values[at] === undefined ? "no" : isIn(part, values[at])));
  if (answers.includes("no")) return comparison === "!=" ? YES : NO;
  if (answers.includes("perhaps")) return unknown("a part of what is compared is not known");
  return comparison === "!=" ? NO : YES;
}

function compare(value: Value, comparison: NftComparison, part: DatumPart): MatchResult {
  switch (comparison) {
    case "==":
    case "!=": {
      const answer = isIn(part, value);
      if (answer === "perhaps")
        return unknown(value.kind === "known" ? `${value.datum} is not understood` : describeDoubt(value));
      return (answer === "yes") === (comparison === "==") ? YES : NO;
    }
    case "any":
    case "none":
      return hasBits(value, comparison, part);
    default:
      return isOrdered(value, comparison, part);
  }
}

/** Whether one of some bits is set, or none. */
function hasBits(value: Value, comparison: "any" | "none", part: DatumPart): MatchResult {
  if (typeof part !== "number") return unknown("a name of a flag is not known");
  const bits =
    value.kind === "known" && typeof value.datum === "number"
      ? { known: 0xffffffff, set: value.datum }
      : value.kind === "bits"
        ? value
        : undefined;
  if (bits === undefined) return unknown(describeDoubt(value));
  if ((bits.set & bits.known & part) !== 0) return comparison === "any" ? YES : NO;
  if ((part & ~bits.known) !== 0) return unknown(describeDoubt(value));
  return comparison === "any" ? NO : YES;
}

function isOrdered(value: Value, comparison: "<" | ">" | "<=" | ">=", part: DatumPart): MatchResult {
  if (typeof part === "object") return unknown("a range has no order");
  const range =
    value.kind === "known" ? { from: value.datum, to: value.datum } : value.kind === "within" ? value : undefined;
  if (range === undefined) return unknown(describeDoubt(value));
  const [low, high] = [order(range.from, part), order(range.to, part)];
  if (low === undefined || high === undefined) return unknown("what is compared has no order");
  const [lowHolds, highHolds] = [inOrder(low, comparison), inOrder(high, comparison)];
  if (lowHolds !== highHolds) return unknown(describeDoubt(value));
  return lowHolds ? YES : NO;
}

function inOrder(sign: number, comparison: "<" | ">" | "<=" | ">="): boolean {
  switch (comparison) {
    case "<":
      return sign < 0;
    case ">":
      return sign > 0;
    case "<=":
      return sign <= 0;
    case ">=":
      return sign >= 0;
  }
}

function order(a: Datum, b: Datum): number | undefined {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [first, second] = [parseIpAddress(String(a)), parseIpAddress(String(b))];
  if (first === undefined || second === undefined || familyOf(first) !== familyOf(second)) return undefined;
  const difference = addressBits(first) - addressBits(second);
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** `meta random & 0x7fffffff < 1073741824`, as iptables' `statistic` is listed: a draw of whole bits. */
function randomCondition({ left, comparison, right }: NftMatch): MatchResult | undefined {
  const bits = randomBits(left);
  const part = right.kind === "value" ? right.parts[0] : undefined;
  if (bits === undefined || typeof part !== "number") return undefined;
  const below = { "<": part, "<=": part + 1, ">=": part, ">": part + 1, "==": undefined, "!=": undefined }[
    comparison === "any" || comparison === "none" ? "==" : comparison
  ];
  if (below === undefined) return undefined;
  const count = BigInt(Math.min(Math.max(below, 0), 2 ** bits));
  const wanted = comparison === "<" || comparison === "<=" ? count : (1n << BigInt(bits)) - count;
  const chance = fractionOf(wanted, bits);
  if (isZero(chance)) return NO;
  return chance.bits === 0 ? YES : { outcome: "chance", chance };
}
