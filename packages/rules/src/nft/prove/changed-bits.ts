import type { MarkNow } from "../../prove/walk/symbolic-state.ts";
import type { BitOperation } from "./compiled-nft.ts";

/** A mark after `&`, `|` and `^`, as a function of the mark with which the packet came. */
export function changedBits({ kept, flipped }: MarkNow, operations: readonly BitOperation[]): MarkNow {
  let now = { kept, flipped };
  for (const { operator, operand } of operations) {
    if (operator === "&") now = { kept: (now.kept & operand) >>> 0, flipped: (now.flipped & operand) >>> 0 };
    else if (operator === "^") now = { ...now, flipped: (now.flipped ^ operand) >>> 0 };
    else now = { kept: (now.kept & ~operand) >>> 0, flipped: (now.flipped | operand) >>> 0 };
  }
  return now;
}

export function changedNumber(value: number, operations: readonly BitOperation[]): number {
  return changedBits({ kept: 0, flipped: value }, operations).flipped;
}
