import type { PlacedRule } from "../../rule-set.ts";
import type { SymbolicState } from "../walk/symbolic-state.ts";

/** Whether a rule is the service proxy's own. */
export type IsOwn = (placed: PlacedRule) => boolean;

/** Without further knowledge: what stands in a chain named KUBE-…, and what jumps to one. */
export function isKubernetesRule({ chain, rule: { target } }: PlacedRule): boolean {
  if (chain.startsWith("KUBE-")) return true;
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
  for (let one = decisions; one !== undefined; one = one.earlier) {
    const { target } = one.placed.rule;
    if (target.kind === "mark" && isOwn(one.placed)) bits |= target.mask | target.value;
  }
  return bits >>> 0;
}

/** What can keep a packet from our rules: an end of nat's chain, or no tracking at all. */
export function isBeforeRouting({ table, chain, rule }: PlacedRule): boolean {
  if (table === "nat") return chain !== "POSTROUTING" && chain !== "INPUT";
  return table === "raw" && rule.target.kind === "ct";
}
