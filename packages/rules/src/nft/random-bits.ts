import type { NftExpression } from "./nft-rule-set.ts";

/** How many bits `meta random`, or what is masked of it, draws; undefined where it is not a draw, or not of the lowest bits. */
export function randomBits(expression: NftExpression): number | undefined {
  if (expression.kind === "meta" && expression.key === "random") return 32;
  if (expression.kind !== "bitwise" || expression.operator !== "&" || randomBits(expression.left) === undefined)
    return undefined;
  const mask = expression.right.kind === "literal" ? expression.right.parts[0] : undefined;
  if (typeof mask !== "number") return undefined;
  const bits = Math.log2(mask + 1);
  return Number.isInteger(bits) ? bits : undefined;
}
