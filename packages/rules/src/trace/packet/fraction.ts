/** An exact probability: a whole number of 2^-bits. The kernel draws in 31 bits, so every chance is one. */
export interface Fraction {
  readonly numerator: bigint;
  /** Power of two that divides the numerator; 0 for whole numbers. */
  readonly bits: number;
}

export const ZERO: Fraction = { numerator: 0n, bits: 0 };
export const ONE: Fraction = { numerator: 1n, bits: 0 };

/** What a `--probability` kept as `threshold` in 31 bits gives. */
export function chanceOf(threshold: number): Fraction {
  return reduce(BigInt(threshold), 31);
}

/** `a` × `b`, exactly. */
export function multiply(a: Fraction, b: Fraction): Fraction {
  if (b.bits === 0 && b.numerator === 1n) return a;
  return reduce(a.numerator * b.numerator, a.bits + b.bits);
}

/** `a` + `b`, exactly. */
export function add(a: Fraction, b: Fraction): Fraction {
  const bits = Math.max(a.bits, b.bits);
  return reduce((a.numerator << BigInt(bits - a.bits)) + (b.numerator << BigInt(bits - b.bits)), bits);
}

/** `a` - `b`, where that is not below 0. */
export function subtract(a: Fraction, b: Fraction): Fraction {
  const bits = Math.max(a.bits, b.bits);
  return reduce((a.numerator << BigInt(bits - a.bits)) - (b.numerator << BigInt(bits - b.bits)), bits);
}

/** 1 - `fraction`. */
export function complement({ numerator, bits }: Fraction): Fraction {
  return reduce((1n << BigInt(bits)) - numerator, bits);
}

/** Whether it never happens. */
export function isZero({ numerator }: Fraction): boolean {
  return numerator === 0n;
}

/** Whether they are the same number: fractions are always reduced. */
export function equalFractions(a: Fraction, b: Fraction): boolean {
  return a.bits === b.bits && a.numerator === b.numerator;
}

/** The nearest number, however long the fraction is. */
export function toNumber({ numerator, bits }: Fraction): number {
  // More than 64 leading bits cannot show in a double, and 2 ** 1024 would overflow.
  const dropped = Math.max(0, numerator.toString(16).length * 4 - 64);
  return Number(numerator >> BigInt(dropped)) * 2 ** (dropped - bits);
}

/** Some 1,000 digits. Ten choices in a row take 310 bits; ten thousand would make a line of 93,000 digits a branch. */
const MOST_WRITTEN_BITS = 3321;

/** `1/2`, `715827883/2147483648`, `1`; a denominator of more than 1,000 digits as the power that it is. */
export function formatFraction({ numerator, bits }: Fraction): string {
  if (bits === 0) return String(numerator);
  return `${numerator}/${bits <= MOST_WRITTEN_BITS ? 1n << BigInt(bits) : `2^${bits}`}`;
}

/** Compares as a sort callback does. */
export function compareFractions(a: Fraction, b: Fraction): number {
  const bits = Math.max(a.bits, b.bits);
  const difference = (a.numerator << BigInt(bits - a.bits)) - (b.numerator << BigInt(bits - b.bits));
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

/** `numerator` of 2^bits. */
export function fractionOf(numerator: bigint, bits: number): Fraction {
  return reduce(numerator, bits);
}

function reduce(numerator: bigint, bits: number): Fraction {
  if (numerator === 0n) return ZERO;
  let rest = numerator;
  let left = bits;
  while (left >= 32 && BigInt.asUintN(32, rest) === 0n) {
    rest >>= 32n;
    left -= 32;
  }
  const low = Number(BigInt.asUintN(32, rest));
  const zeros = low === 0 ? 32 : 31 - Math.clz32(low & -low);
  const shift = Math.min(zeros, left);
  return { numerator: rest >> BigInt(shift), bits: left - shift };
}
