import { translationLimitations } from "@svcproxy/host";
import { detectsPods, type HostPlan, type Problem } from "@svcproxy/topology";
import { type Dialect, marksClientsOutside } from "./dialect.ts";

/** What the rules of a dialect cannot do of this plan, whatever the machine. */
export function ruleLimitations(plan: HostPlan, { dialect }: { readonly dialect: Dialect }): readonly Problem[] {
  return translationLimitations(plan, {
    dataPath: "iptables",
    marksClientsOutside: (family) =>
      dialect === "document" ? marksClientsOutside(plan, family) : detectsPods(plan.podDetector, family),
  });
}
