import { visitedTables } from "../effects/rule-effect.ts";
import type { NftExpression, NftStatement } from "../nft/nft-rule-set.ts";
import type { HostRules } from "./host-rules.ts";

/**
 * Whether the kernel tracks a family's connections at all: it does once some rule needs it to. NAT is asked about tracked
 * connections only.
 *
 * @see linux net/netfilter/nf_conntrack_proto.c (nf_ct_netns_get)
 */
export function tracksConnections({ family, iptables, nft, unread }: HostRules): boolean {
  if (unread.length > 0) return true;
  if (iptables.some(({ rules }) => hasNat(rules.tables) && visitedTables(rules).some(({ name }) => name === "nat")))
    return true;
  if (iptables.some(({ rules }) => !hasNat(rules.tables) && needsTracking(rules))) return true;
  const own = family === 4 ? "ip" : "ip6";
  return nft.tables.some(
    (table) =>
      (table.family === own || table.family === "inet") &&
      table.chains.some(({ rules }) => rules.some(({ statements }) => statements.some(needsConntrack))),
  );
}

function hasNat(tables: readonly { readonly name: string }[]): boolean {
  return tables.some(({ name }) => name === "nat");
}

/** Whether rules without a nat table would have one asked. */
function needsTracking(rules: Parameters<typeof visitedTables>[0]): boolean {
  const withNat = { ...rules, tables: [...rules.tables, { name: "nat", chains: [] }] };
  return visitedTables(withNat).some(({ name }) => name === "nat");
}

function needsConntrack(statement: NftStatement): boolean {
  switch (statement.kind) {
    case "nat":
    case "masquerade":
    case "redirect":
    case "handover":
    case "unread":
      return true;
    case "match":
      return asksConntrack(statement.left);
    case "vmap":
      return asksConntrack(statement.key);
    case "set":
      return asksConntrack(statement.target) || asksConntrack(statement.value);
    case "update":
      return asksConntrack(statement.key) || (statement.gate ?? "").startsWith("ct ");
    case "gate":
    case "inert":
      return statement.text.startsWith("ct ") || statement.text.startsWith("flow ");
    default:
      return false;
  }
}

function asksConntrack(expression: NftExpression): boolean {
  switch (expression.kind) {
    case "ct":
      return true;
    case "bitwise":
      return asksConntrack(expression.left) || asksConntrack(expression.right);
    case "concat":
      return expression.parts.some(asksConntrack);
    case "lookup":
      return asksConntrack(expression.key);
    case "jhash":
      return asksConntrack(expression.of);
    default:
      return false;
  }
}
