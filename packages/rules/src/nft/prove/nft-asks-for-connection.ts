import type { NftExpression, NftStatement } from "../nft-rule-set.ts";

/** Whether a statement looks at what is known of new connections only: TCP flags, or a connection's mark. */
export function nftAsksForConnection(statement: NftStatement): boolean {
  switch (statement.kind) {
    case "match":
      return asks(statement.left);
    case "vmap":
      return asks(statement.key);
    case "set":
      return asks(statement.target) || asks(statement.value);
    case "update":
      return asks(statement.key);
    default:
      return false;
  }
}

function asks(expression: NftExpression): boolean {
  switch (expression.kind) {
    case "ct":
      return !["state", "direction", "protocol", "l3proto"].includes(expression.key);
    case "payload":
      return expression.header === "tcp" && expression.field === "flags";
    case "bitwise":
      return asks(expression.left);
    case "concat":
      return expression.parts.some(asks);
    case "lookup":
      return asks(expression.key);
    case "jhash":
      return asks(expression.of);
    default:
      return false;
  }
}
