import type { NftExpression, NftStatement } from "./nft-rule-set.ts";

const ALL_BITS = 0xffffffff;

/** The bits of a packet's mark that statements set, clear or flip, whatever packet it is. */
export function markBitsSet(statements: readonly NftStatement[]): number {
  let bits = 0;
  for (const statement of statements) {
    if (statement.kind !== "set") continue;
    const { target, value } = statement;
    if (target.kind === "meta" && target.key === "mark") bits |= changedBits(value);
  }
  return bits >>> 0;
}

/** The bits in which the value may differ from the mark that it is made of. */
function changedBits(expression: NftExpression): number {
  if (expression.kind === "meta" && expression.key === "mark") return 0;
  if (expression.kind !== "bitwise" || expression.right.kind !== "literal") return ALL_BITS;
  const [operand] = expression.right.parts;
  if (typeof operand !== "number" || expression.operator === "<<" || expression.operator === ">>") return ALL_BITS;
  const changed = expression.operator === "&" ? ~operand : operand;
  return (changedBits(expression.left) | changed) >>> 0;
}
