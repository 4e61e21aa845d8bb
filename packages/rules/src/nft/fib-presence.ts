import type { DatumPart, NftExpression, NftMatch } from "./nft-rule-set.ts";

/**
 * `fib … oif missing` and `exists` ask for the interface's name: there is none, or any.
 *
 * @param comparison as written
 */
export function fibPresence(
  left: NftExpression,
  comparison: NftMatch["comparison"],
  parts: readonly DatumPart[],
): Pick<NftMatch, "comparison"> & { readonly parts: readonly DatumPart[] } {
  const [part] = parts;
  if (left.kind !== "fib" || left.result === "type") return { comparison, parts };
  if (part === "missing" || part === "0" || part === 0) return { comparison, parts: [""] };
  if (part !== "exists") return { comparison, parts };
  return { comparison: comparison === "!=" ? "==" : "!=", parts: [""] };
}
