import type { Match } from "@svcproxy/rules";

/** One part in 2^31 is the finest share that the kernel can give. */
const SCALE = 2 ** 31;

/**
 * The `statistic` matches with which rules that are tried one after the other give each of `weights` its share of the
 * packets: one for each weight but the last, which takes what is left.
 *
 * Rounding does not add up to more than 4.1e-10 of all packets for any share: rule i is off by half a part of 2^31 of what
 * reaches it, and what the rules before it were off by counts only for its own part of that.
 *
 * @param weights positive, and nearly equal
 * @see iptables-extensions(8), statistic, --mode random
 */
export function splitEvenly(weights: readonly number[]): readonly Match[] {
  let weightLeft = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.slice(0, -1).map((weight): Match => {
    const share = weight / weightLeft;
    weightLeft -= weight;
    const threshold = Math.round(SCALE * share);
    return { kind: "statistic", mode: "random", negated: false, threshold, text: probabilityText(share, threshold) };
  });
}

/** The share in ten decimals, or where iptables would not read those as `threshold`, the threshold itself. */
function probabilityText(share: number, threshold: number): string {
  for (const value of [share, threshold / SCALE]) {
    const text = value.toFixed(10).replace(/0+$/, "");
    if (Math.round(Number(text) * SCALE) === threshold) return text;
  }
  return (threshold / SCALE).toFixed(11);
}
