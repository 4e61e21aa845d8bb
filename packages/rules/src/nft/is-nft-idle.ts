import type { NftStatement } from "./nft-rule-set.ts";

/** Whether a statement leaves the packet and its way as they are, whatever it answers. */
export function isNftIdle(statement: NftStatement): boolean {
  switch (statement.kind) {
    case "match":
    case "gate":
    case "counter":
    case "inert":
      return true;
    case "verdict":
      return statement.verdict.kind === "continue";
    default:
      return false;
  }
}
