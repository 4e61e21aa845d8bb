import { type PlanWithoutTaken, type RecentListeners, withoutTakenNodePorts } from "@svcproxy/host";
import type { Family, HostPlan } from "@svcproxy/topology";
import { compileRules } from "../compile-rules.ts";
import type { DesiredRules } from "../desired-rules.ts";
import { withOwnComments } from "../kernel/own-comments.ts";
import type { RuleStyle } from "../rule-style.ts";
import type { OpenMachine, RuleAbilities } from "./iptables-machine.ts";
import type { IptablesSettings } from "./iptables-settings.ts";

/** The plan as rules are to carry it out: without the NodePorts that programs of the machine listen on. */
export function leaveOutTaken(
  plan: HostPlan,
  {
    machine,
    style,
    settings: { takePorts = new Set() },
    recent,
  }: {
    readonly machine: OpenMachine;
    readonly style: RuleStyle;
    readonly settings: IptablesSettings;
    readonly recent?: RecentListeners | undefined;
  },
): Promise<PlanWithoutTaken> {
  // The document's rule takes every address of the host, 127.0.0.0/8 among them.
  return withoutTakenNodePorts(plan, { machine, takePorts, recent, takesLoopback: style.dialect === "document" });
}

/** The plan as rules that a machine's iptables and kernel can take: of the families in play in which it has something to do. */
export function compileForMachine(
  plan: HostPlan,
  {
    style,
    families,
    abilities,
  }: Pick<IptablesSettings, "families"> & { readonly style: RuleStyle; readonly abilities: RuleAbilities },
): readonly DesiredRules[] {
  return usedFamilies(plan)
    .filter((family) => families === undefined || families.includes(family))
    .map((family) => withOwnComments(compileRules(plan, { ...style, family, ...abilities })));
}

/** Those in which the plan has something to do; in others nothing of ours is to be. */
export function usedFamilies({ ports }: HostPlan): readonly Family[] {
  return ([4, 6] as const).filter((family) => ports.some((port) => port.family === family));
}
