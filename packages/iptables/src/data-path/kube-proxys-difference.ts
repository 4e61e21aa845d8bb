import type { HostPlan } from "@svcproxy/topology";
import { compileRules } from "../compile-rules.ts";
import { findDifference } from "../kernel/find-difference.ts";
import { withoutKubeProxysOwn } from "../kernel/kube-proxy-rules.ts";
import type { RuleDifference } from "../kernel/rule-backend.ts";
import type { SavedRules } from "../kernel/rule-tables.ts";
import type { RuleStyle } from "../rule-style.ts";
import type { RuleAbilities } from "./iptables-machine.ts";

/**
 * How the rules that kube-proxy keeps differ from a plan by meaning. It has its constant rules in both families, whatever the services,
 * and goes through services one by one.
 */
export function kubeProxysDifference(
  saved: readonly SavedRules[],
  { plan, style, abilities }: { readonly plan: HostPlan; readonly style: RuleStyle; readonly abilities: RuleAbilities },
): RuleDifference["families"] {
  const desired = ([4, 6] as const).map((family) =>
    compileRules(plan, { ...style, dispatch: "linear", family, ...abilities }),
  );
  return findDifference(withoutKubeProxysOwn(saved, desired), desired, { adopt: true }).families;
}
