import type { PlacedRule, SymbolicState } from "./symbolic-state.ts";

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
