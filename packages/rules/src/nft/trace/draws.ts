import type { Fraction } from "../../trace/packet/fraction.ts";
import { fractionOf } from "../../trace/packet/fraction.ts";

/** The kernel scales a number of 32 bits: a remainder comes up as often as numbers of 32 bits fall to it. */
const RANDOM_NUMBERS = 1n << 32n;

/**
 * How often `numgen random mod modulus` gives a number below `limit`, exactly.
 *
 * @see linux net/netfilter/nft_numgen.c, reciprocal_scale
 */
export function chanceBelow(limit: number, modulus: number): Fraction {
  const wanted = BigInt(Math.min(Math.max(limit, 0), modulus));
  const count = (wanted * RANDOM_NUMBERS + BigInt(modulus) - 1n) / BigInt(modulus);
  return fractionOf(count, 32);
}
