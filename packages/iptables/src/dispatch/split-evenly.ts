import type { Match } from "@svcproxy/rules";

/** One part in 2^31 is the finest share that the kernel can give. */
const SCALE = 2 ** 31;
/** What part of the rest may be wrong before a threshold makes up for it; it keeps every share within 1e-9. */
const TOLERANCE = 5e-10;

/**
 * The `statistic` matches with which rules that are tried one after the other give each of `weights` its share of the
 * packets: one for each weight but the last, which takes what is left.
 *
 * Each is `weight / weight left`, as everybody writes it. Rounding adds up, though: where what is left for the rest would
 * stray, a threshold makes up for those before it, so that each share is within 1e-9 of its due for any number of them.
 *
 * @param weights positive
 * @see iptables-extensions(8), statistic, --mode random
 */
export function splitEvenly(weights: readonly number[]): readonly Match[] {
  let weightLeft = weights.reduce((sum, weight) => sum + weight, 0);
  const total = weightLeft;
  /** Chance that a packet gets as far as this rule, given the thresholds before it. */
  let reached = 1;
  return weights.slice(0, -1).map((weight): Match => {
    const due = weight / weightLeft;
    weightLeft -= weight;
    const rest = weightLeft / total;
    const plain = Math.round(SCALE * due);
    const strays = Math.abs((reached * (1 - plain / SCALE)) / rest - 1) > TOLERANCE;
    const threshold = strays ? Math.round(SCALE * (1 - rest / reached)) : plain;
    reached *= 1 - threshold / SCALE;
    return { kind: "statistic", mode: "random", negated: false, threshold, text: probabilityText(due, threshold) };
  });
}

/** The fewest decimals, ten at most, that stand near `due` and that iptables reads as `threshold`. */
function probabilityText(due: number, threshold: number): string {
  for (const value of [due, threshold / SCALE]) {
    const text = value.toFixed(10).replace(/0+$/, "");
    if (Math.round(Number(text) * SCALE) === threshold) return text;
  }
  return (threshold / SCALE).toFixed(11);
}
