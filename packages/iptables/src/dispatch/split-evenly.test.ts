import type { Match } from "@svcproxy/rules";
import fc from "fast-check";
import { expect, test } from "vitest";
import { splitEvenly } from "./split-evenly.ts";

const SCALE = 2 ** 31;

/** What the kernel gives each rule of a chain whose rules but the last carry these matches. */
function sharesOf(matches: readonly Match[]): number[] {
  let reached = 1;
  const shares = matches.map((match) => {
    if (match.kind !== "statistic" || match.mode !== "random") throw new TypeError(match.kind);
    const share = (reached * match.threshold) / SCALE;
    reached -= share;
    return share;
  });
  return [...shares, reached];
}

test.for([1, 2, 3, 7, 10, 64, 100, 256, 1000, 10_000, 100_000])("each of %d gets its share to 4.1e-10", (count) => {
  const shares = sharesOf(splitEvenly(Array<number>(count).fill(1)));
  expect(shares).toHaveLength(count);
  const worst = shares.reduce((error, share) => Math.max(error, Math.abs(share - 1 / count)), 0);
  expect(worst).toBeLessThan(4.1e-10);
});

test("groups of nearly the same size get their shares to 1e-9", () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 10_000 }), fc.array(fc.boolean(), { minLength: 1, maxLength: 200 }));
  fc.assert(
    fc.property(sizes, ([size, larger]) => {
      const weights = larger.map((isLarger) => size + (isLarger ? 1 : 0));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const shares = sharesOf(splitEvenly(weights));
      for (const [index, share] of shares.entries()) {
        expect(Math.abs(share - (weights[index] ?? 0) / total)).toBeLessThan(1e-9);
      }
    }),
  );
});

test("iptables reads the printed decimals as the threshold that was meant, and they stand for 1/(n - i)", () => {
  const count = 1000;
  for (const [index, match] of splitEvenly(Array<number>(count).fill(1)).entries()) {
    if (match.kind !== "statistic" || match.mode !== "random") throw new TypeError(match.kind);
    expect(Math.round(Number(match.text) * SCALE)).toBe(match.threshold);
    expect(Math.abs(Number(match.text) - 1 / (count - index))).toBeLessThan(1e-9);
  }
});

test.for([
  [2, ["0.5"]],
  [3, ["0.3333333333", "0.5"]],
  [4, ["0.25", "0.3333333333", "0.5"]],
  [5, ["0.2", "0.25", "0.3333333333", "0.5"]],
] as const)("%d endpoints print as people write it", ([count, texts]) => {
  const matches = splitEvenly(Array<number>(count).fill(1));
  expect(matches.map((match) => (match.kind === "statistic" && match.mode === "random" ? match.text : ""))).toEqual(
    texts,
  );
});
