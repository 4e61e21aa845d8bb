/**
 * Pearson's statistic for the hypothesis that all counts have the same expectation.
 *
 * @param counts at least 2
 */
export function chiSquare(counts: readonly number[]): number {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

/**
 * The chance that the chi-square distribution with `degrees` degrees of freedom exceeds `value`.
 *
 * @see Abramowitz and Stegun, 26.4.4 and 26.4.5
 */
export function chiSquareTail(value: number, degrees: number): number {
  const isOdd = degrees % 2 === 1;
  let term = isOdd ? Math.sqrt((2 * value) / Math.PI) * Math.exp(-value / 2) : Math.exp(-value / 2);
  let tail = isOdd ? errorTail(Math.sqrt(value / 2)) : term;
  for (let next = isOdd ? 3 : 4; next <= degrees; next += 2) {
    if (!isOdd) term *= value / (next - 2);
    tail += term;
    if (isOdd) term *= value / next;
  }
  return tail;
}

/** erfc for an argument of 0 or more, with a relative error below 1.2e-7. @see Numerical Recipes, erfcc */
function errorTail(x: number): number {
  const t = 1 / (1 + x / 2);
  const coefficients = [
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
    0.17087277,
  ];
  const polynomial = coefficients.reduceRight((sum, coefficient) => sum * t + coefficient, 0);
  return t * Math.exp(-x * x + polynomial);
}
