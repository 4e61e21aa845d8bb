import { isNftRule, isProxyTable, type PlacedRule } from "../../hooks/any-rule.ts";
import type { NftExpression, NftStatement } from "../../nft/nft-rule-set.ts";
import type { SymbolicState } from "../walk/symbolic-state.ts";

const ALL_BITS = 0xffffffff;

/** Whether a rule is the service proxy's own. */
export type IsOwn = (placed: PlacedRule) => boolean;

/** Without further knowledge: what stands in a chain named KUBE-… or in a proxy's table, and what jumps to such a chain. */
export function isKubernetesRule({ table, chain, rule }: PlacedRule): boolean {
  if (chain.startsWith("KUBE-") || isProxyTable(table)) return true;
  if (isNftRule(rule)) return false;
  const { target } = rule;
  return (target.kind === "jump" || target.kind === "goto") && target.chain.startsWith("KUBE-");
}

/** The last rule on a state's way in one of these tables that is not ours. */
export function foreignDecision(
  { decisions }: SymbolicState,
  isOwn: IsOwn,
  where: (placed: PlacedRule) => boolean = () => true,
): PlacedRule | undefined {
  for (let one = decisions; one !== undefined; one = one.earlier) {
    if (where(one.placed) && !isOwn(one.placed)) return one.placed;
  }
  return undefined;
}

/** The bits of the mark that our rules set, clear or flip on a state's way; a foreign rule may do with marks as it likes. */
export function markBitsWeTouch({ decisions }: SymbolicState, isOwn: IsOwn): number {
  let bits = 0;
  for (let one = decisions; one !== undefined; one = one.earlier) if (isOwn(one.placed)) bits |= markBitsOf(one.placed);
  return bits >>> 0;
}

function markBitsOf({ rule }: PlacedRule): number {
  if (isNftRule(rule)) return markBitsSet(rule.statements);
  return rule.target.kind === "mark" ? rule.target.mask | rule.target.value : 0;
}

/** The bits of a packet's mark that statements set, clear or flip, whatever packet it is. */
function markBitsSet(statements: readonly NftStatement[]): number {
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

/** What can keep a packet from our rules: an end of nat's chain, or no tracking at all. In nftables any chain may be nat's. */
export function isBeforeRouting(placed: PlacedRule): boolean {
  const { chain, rule } = placed;
  if (isNftRule(rule)) return true;
  if (isOfTable(placed, "nat")) return chain !== "POSTROUTING" && chain !== "INPUT";
  return isOfTable(placed, "raw") && rule.target.kind === "ct";
}

/** Whether a rule may be what leaves a packet's source as it is. */
export function isSourceNat(placed: PlacedRule): boolean {
  return isNftRule(placed.rule) || (isOfTable(placed, "nat") && placed.chain === "POSTROUTING");
}

export function isOfFilter(placed: PlacedRule): boolean {
  return isOfTable(placed, "filter");
}

/** Where iptables has two variants, tables are called `nat (legacy)`. */
function isOfTable({ table }: PlacedRule, name: string): boolean {
  return table === name || table.startsWith(`${name} (`);
}
