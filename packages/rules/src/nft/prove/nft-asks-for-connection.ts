import type { NftExpression, NftStatement } from "../nft-rule-set.ts";

/** Whether a statement looks at what is known of new connections only: TCP flags, or a connection's mark. */
export function nftAsksForConnection(statement: NftStatement): boolean {
  return asks(
    statement,
    (one) =>
      (one.kind === "ct" && !["state", "direction", "protocol", "l3proto"].includes(one.key)) ||
      (one.kind === "payload" && one.header === "tcp" && one.field === "flags"),
  );
}

/** Whether a statement looks at the addresses, ports, protocol or direction of a connection. */
export function nftAsksForTuple(statement: NftStatement): boolean {
  return asks(statement, (one) => one.kind === "ct" && OF_TUPLE.includes(one.key));
}

export function nftGivesZone(statement: NftStatement): boolean {
  return statement.kind === "set" && statement.target.kind === "ct" && statement.target.key === "zone";
}

const OF_TUPLE: readonly string[] = [
  ...["direction", "protocol", "ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr", "saddr", "daddr"],
  ...["proto-src", "proto-dst"],
];

type Asks = (expression: NftExpression) => boolean;

function asks(statement: NftStatement, of: Asks): boolean {
  switch (statement.kind) {
    case "match":
      return hasPart(statement.left, of);
    case "vmap":
    case "update":
      return hasPart(statement.key, of);
    case "set":
      return hasPart(statement.target, of) || hasPart(statement.value, of);
    default:
      return false;
  }
}

function hasPart(expression: NftExpression, of: Asks): boolean {
  if (of(expression)) return true;
  switch (expression.kind) {
    case "bitwise":
      return hasPart(expression.left, of);
    case "concat":
      return expression.parts.some((part) => hasPart(part, of));
    case "lookup":
      return hasPart(expression.key, of);
    case "jhash":
      return hasPart(expression.of, of);
    default:
      return false;
  }
}
