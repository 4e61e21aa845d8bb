import type { NftExpression, NftFamily, NftStatement } from "./nft-rule-set.ts";

/**
 * In tables for both families nft leaves `meta nfproto` out before `reject with tcp reset`: whether such a rule is for one of
 * them only, its listing does not tell.
 *
 * @returns the statements, behind a condition that nobody can answer where that is so
 */
export function withHiddenFamily(family: NftFamily, statements: readonly NftStatement[]): readonly NftStatement[] {
  if (family === "ip" || family === "ip6") return statements;
  const rejects = statements.some((one) => one.kind === "reject" && one.with === "tcp reset");
  if (!rejects || statements.some((one) => one.kind === "match" && namesFamily(one.left))) return statements;
  return [{ kind: "gate", text: "whether it is for one family only, which nft leaves out" }, ...statements];
}

function namesFamily(expression: NftExpression): boolean {
  switch (expression.kind) {
    case "payload":
      return ["ip", "ip6", "icmp", "icmpv6"].includes(expression.header);
    case "meta":
      return expression.key === "nfproto" || expression.key === "protocol";
    case "bitwise":
      return namesFamily(expression.left);
    case "concat":
      return expression.parts.some(namesFamily);
    default:
      return false;
  }
}
