import type { DatumPart, NftComparison, NftMatch } from "../nft-rule-set.ts";
import { randomBits } from "../random-bits.ts";

/** How often a drawn number meets a condition; undefined where none is drawn. */
export function chanceOfMatch({ left, comparison, right }: NftMatch): number | undefined {
  if (left.kind === "numgen" && left.mode === "random") {
    const parts =
      right.kind === "value"
        ? right.parts
        : right.set.kind === "anonymous"
          ? right.set.elements.map(({ key }) => key[0])
          : [];
    const { modulus, offset } = left;
    const chances = parts.map((part) =>
      part === undefined ? undefined : chanceOfPart(part, comparison, { modulus, offset }),
    );
    if (chances.length === 0 || !chances.every((chance) => chance !== undefined)) return undefined;
    const sum = chances.reduce((total, chance) => total + chance, 0);
    return right.kind === "set" && comparison === "!=" ? 1 - sum : sum;
  }
  const bits = randomBits(left);
  const part = right.kind === "value" ? right.parts[0] : undefined;
  if (bits === undefined || typeof part !== "number") return undefined;
  const share = Math.min(Math.max(part, 0), 2 ** bits) / 2 ** bits;
  return comparison === "<" ? share : comparison === ">=" ? 1 - share : undefined;
}

interface Numgen {
  readonly modulus: number;
  readonly offset: number;
}

function chanceOfPart(part: DatumPart, comparison: NftComparison, numgen: Numgen): number | undefined {
  const { from, to } = typeof part === "object" ? part : { from: part, to: part };
  if (typeof from !== "number" || typeof to !== "number") return undefined;
  const within = chanceWithin(from, to + 1, numgen);
  switch (comparison) {
    case "==":
      return within;
    case "!=":
      return 1 - within;
    case "<":
      return chanceWithin(0, from, numgen);
    case "<=":
      return chanceWithin(0, to + 1, numgen);
    case ">":
      return 1 - chanceWithin(0, to + 1, numgen);
    case ">=":
      return 1 - chanceWithin(0, from, numgen);
    default:
      return undefined;
  }
}

const RANDOM_NUMBERS = 2 ** 32;

/** How often `numgen random` gives a number from `from` up to and without `end`. @see draws.ts */
export function chanceWithin(from: number, end: number, { modulus, offset }: Numgen): number {
  const below = (limit: number) =>
    Math.ceil((Math.min(Math.max(limit - offset, 0), modulus) * RANDOM_NUMBERS) / modulus);
  return Math.max(0, below(end) - below(from)) / RANDOM_NUMBERS;
}
