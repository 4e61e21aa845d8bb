import type { HostPlan } from "@svcproxy/topology";
import { unreachable } from "@svcproxy/topology";
import type { DesiredRules } from "./desired-rules.ts";
import { compileDocument } from "./document/compile-document.ts";
import { compileKubernetes } from "./kubernetes/compile-kubernetes.ts";
import type { CompileOptions } from "./rule-style.ts";
import { foldScript } from "./script/fold-script.ts";
import type { Script } from "./script/script.ts";

/** The commands that carry a plan out in a dialect, on a host that has none of its rules. Equal plans give equal scripts. */
export function compileScript(plan: HostPlan, options: CompileOptions): Script {
  switch (options.dialect) {
    case "document":
      return compileDocument(plan, options);
    case "kubernetes":
      return compileKubernetes(plan, options);
    default:
      return unreachable(options.dialect);
  }
}

/** What those commands leave behind. */
export function compileRules(plan: HostPlan, options: CompileOptions): DesiredRules {
  const { dialect, dispatch = "auto" } = options;
  return { ...foldScript(compileScript(plan, options)), style: { dialect, dispatch } };
}
