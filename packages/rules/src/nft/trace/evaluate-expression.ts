import { addressBits, addressFromBits, addressWidth, familyOf, parseIpAddress, unreachable } from "@svcproxy/topology";
import { type Fraction, fractionOf, isZero, multiply, ONE, subtract } from "../../trace/packet/fraction.ts";
import type { DatumPart, NftElement, NftExpression, NftSetReference } from "../nft-rule-set.ts";
import type { NftAsked } from "./asked.ts";
import { evaluateCt } from "./evaluate-ct.ts";
import { evaluateFib } from "./evaluate-fib.ts";
import { evaluateMeta } from "./evaluate-meta.ts";
import { evaluatePayload } from "./evaluate-payload.ts";
import { hashOf } from "./hash-of.ts";
import { describeDoubt, ElementIndex, type Lookup } from "./set-lookup.ts";
import { type Drawn, known, unknownValue, type Value } from "./value.ts";
import { writtenLookup } from "./written-sets.ts";

/** All that an expression may come to, with the chance of each; the chances add up to 1. */
export function evaluateExpression(expression: NftExpression, asked: NftAsked): readonly Drawn[] {
  switch (expression.kind) {
    case "payload":
      return certain(evaluatePayload(expression.header, expression.field, asked));
    case "meta":
      return certain(evaluateMeta(expression.key, asked));
    case "ct":
      return certain(evaluateCt(expression, asked));
    case "fib":
      return certain(evaluateFib(expression, asked));
    case "bits":
      return certain(unknownValue(`what stands at @${expression.base},${expression.offset} is not known`));
    case "numgen":
      return drawNumber(expression);
    case "jhash":
      return evaluateExpression(expression.of, asked).map(({ chance, values }) => ({
        chance,
        values: values === "none" ? values : [hashOf(expression, values)],
      }));
    case "symhash":
      return certain(someOf(expression, "the hash of the flow"));
    case "bitwise":
      return combine(
        evaluateExpression(expression.left, asked),
        evaluateExpression(expression.right, asked),
        (a, b) => [bitwise(expression.operator, a[0], b[0])],
      );
    case "concat":
      return expression.parts.reduce<readonly Drawn[]>(
        (before, part) => combine(before, evaluateExpression(part, asked), (a, b) => [...a, ...b]),
        [{ chance: ONE, values: [] }],
      );
    case "lookup":
      return evaluateExpression(expression.key, asked).map(({ chance, values }) => ({
        chance,
        values: values === "none" ? values : mapped(expression.map, values, asked),
      }));
    case "literal":
      return [{ chance: ONE, values: expression.parts.map(valueOfPart) }];
    case "other":
      return certain(unknownValue(`${expression.text} is not known`));
    default:
      return unreachable(expression);
  }
}

function certain(value: Value | undefined): readonly Drawn[] {
  return [{ chance: ONE, values: value === undefined ? "none" : [value] }];
}

function valueOfPart(part: DatumPart): Value {
  return typeof part === "object" ? { kind: "span", range: part } : known(part);
}

/** A remainder of more values than these is not looked at value by value. */
const MOST_DRAWN = 65_536;

/** A number of which only the bounds are known. */
function someOf({ modulus, offset }: { readonly modulus: number; readonly offset: number }, what: string): Value {
  return { kind: "within", from: offset, to: offset + modulus - 1, what };
}

function drawNumber({ mode, modulus, offset }: Extract<NftExpression, { readonly kind: "numgen" }>): readonly Drawn[] {
  if (modulus === 1) return certain(known(offset));
  if (mode === "inc") return certain(someOf({ modulus, offset }, `which of every ${modulus} packets this is`));
  if (modulus > MOST_DRAWN)
    return certain({ kind: "within", from: offset, to: offset + modulus - 1, what: "the number drawn" });
  let before = chanceBelow(0, modulus);
  return Array.from({ length: modulus }, (_, value) => {
    const below = chanceBelow(value + 1, modulus);
    const chance = subtract(below, before);
    before = below;
    return { chance, values: [known(value + offset)] };
  });
}

/** Every pair of two independent draws. */
function combine(
  left: readonly Drawn[],
  right: readonly Drawn[],
  join: (a: readonly Value[], b: readonly Value[]) => readonly Value[],
): readonly Drawn[] {
  return left
    .flatMap((a) =>
      right.map((b): Drawn => {
        const chance: Fraction = multiply(a.chance, b.chance);
        const isNone = a.values === "none" || b.values === "none";
        return { chance, values: isNone ? "none" : join(valuesOf(a), valuesOf(b)) };
      }),
    )
    .filter(({ chance }) => !isZero(chance));
}

function valuesOf({ values }: Drawn): readonly Value[] {
  return values === "none" ? [] : values;
}

function bitwise(operator: string, left: Value | undefined, right: Value | undefined): Value {
  if (left === undefined || right === undefined) return unknownValue("a value to combine is missing");
  if (right.kind !== "known") return unknownValue(describeDoubt(right));
  const mask = right.datum;
  if (typeof mask === "string") return addressBitwise(operator, left, mask);
  if (left.kind === "known" && typeof left.datum === "number") return known(combineNumbers(operator, left.datum, mask));
  if (left.kind === "bits" && operator === "&") return maskedBits(left, mask);
  return unknownValue(left.kind === "known" ? `${left.datum} has no bits` : describeDoubt(left));
}

function combineNumbers(operator: string, a: number, b: number): number {
  switch (operator) {
    case "&":
      return (a & b) >>> 0;
    case "|":
      return (a | b) >>> 0;
    case "^":
      return (a ^ b) >>> 0;
    case "<<":
      return (a << b) >>> 0;
    default:
      return a >>> b;
  }
}

function maskedBits(value: Extract<Value, { readonly kind: "bits" }>, mask: number): Value {
  if ((mask & ~value.known) === 0) return known((value.set & mask) >>> 0);
  return { ...value, known: (value.known | ~mask) >>> 0, set: (value.set & mask) >>> 0 };
}

/** `ip saddr & 255.0.0.255`. */
function addressBitwise(operator: string, left: Value, mask: string): Value {
  const other = parseIpAddress(mask);
  const address = left.kind === "known" && typeof left.datum === "string" ? parseIpAddress(left.datum) : undefined;
  if (other === undefined || address === undefined || familyOf(address) !== familyOf(other))
    return unknownValue(`${mask} cannot be combined with it`);
  const [a, b] = [addressBits(address), addressBits(other)];
  const bits = operator === "&" ? a & b : operator === "|" ? a | b : a ^ b;
  return known(addressFromBits(familyOf(address), bits & ((1n << BigInt(addressWidth(familyOf(address)))) - 1n)));
}

/** What a map gives for a key. */
function mapped(reference: NftSetReference, key: readonly Value[], asked: NftAsked): readonly Value[] | "none" {
  const found = lookUp(reference, key, asked);
  if (found.kind === "missing") return "none";
  if (found.kind === "unknown") return [unknownValue(found.because)];
  const { data } = found.element;
  return data?.kind === "value" ? data.parts.map(valueOfPart) : [unknownValue("a verdict is not a value")];
}

/** Looks a key up in a set or map: named or in the rule itself, written by rules before or not. */
export function lookUp(reference: NftSetReference, key: readonly Value[], asked: NftAsked): Lookup {
  const found = lookUpKey(reference, key, asked);
  if (found.kind !== "unknown") return found;
  const [first, ...others] = everyKey(key).map((one) => lookUpKey(reference, one, asked));
  return first !== undefined && others.every((other) => isAlike(first, other)) ? first : found;
}

/** Up to so many numbers are looked up one by one where it is not known which it is. */
const MOST_TRIED = 64;

/** The keys that one may be of which a number is known within bounds only; none where they are too many. */
function everyKey(key: readonly Value[]): readonly (readonly Value[])[] {
  const at = key.findIndex(({ kind }) => kind === "within");
  const part = key[at];
  if (part?.kind !== "within" || part.to - part.from >= MOST_TRIED) return [];
  return Array.from({ length: part.to - part.from + 1 }, (_, step) => key.with(at, known(part.from + step)));
}

function isAlike(a: Lookup, b: Lookup): boolean {
  if (a.kind !== "found" || b.kind !== "found") return a.kind === b.kind && a.kind === "missing";
  return JSON.stringify(a.element.data) === JSON.stringify(b.element.data);
}

function lookUpKey(reference: NftSetReference, key: readonly Value[], asked: NftAsked): Lookup {
  if (reference.kind === "anonymous") return indexOf(reference.elements).find(key);
  const set = asked.table.sets.get(reference.name);
  if (set === undefined) return { kind: "unknown", because: `the set ${reference.name} is not known` };
  if (set.unread !== undefined)
    return { kind: "unknown", because: `the set ${reference.name} is not all known: ${set.unread.because}` };
  const written = writtenLookup(asked, set, key);
  if (written !== undefined) return written;
  const found = indexOf(set.elements).find(key);
  if (found.kind === "found") asked.onElement?.({ table: asked.table, set, element: found.element });
  return found;
}

const indexes = new WeakMap<readonly NftElement[], ElementIndex>();

/** Elements are indexed once, when they are first asked for. */
function indexOf(elements: readonly NftElement[]): ElementIndex {
  let index = indexes.get(elements);
  if (index === undefined) {
    index = new ElementIndex(elements);
    indexes.set(elements, index);
  }
  return index;
}

/** The kernel scales a number of 32 bits: a remainder comes up as often as numbers of 32 bits fall to it. */
const RANDOM_NUMBERS = 1n << 32n;

/**
 * How often `numgen random mod modulus` gives a number below `limit`, exactly.
 *
 * @see linux net/netfilter/nft_numgen.c, reciprocal_scale
 */
function chanceBelow(limit: number, modulus: number): Fraction {
  const wanted = BigInt(Math.min(Math.max(limit, 0), modulus));
  const count = (wanted * RANDOM_NUMBERS + BigInt(modulus) - 1n) / BigInt(modulus);
  return fractionOf(count, 32);
}
