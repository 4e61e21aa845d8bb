import { type PlanWithoutTaken, withoutTakenNodePorts } from "@svcproxy/host";
import type { HostPlan } from "@svcproxy/topology";
import type { RuleStyle } from "../rule-style.ts";
import type { OpenMachine } from "./iptables-machine.ts";
import type { IptablesSettings } from "./iptables-settings.ts";

/** The plan as rules are to carry it out: without the NodePorts that programs of the machine listen on. */
export function leaveOutTaken(
  plan: HostPlan,
  {
    machine,
    style,
    settings: { takePorts = new Set() },
  }: { readonly machine: OpenMachine; readonly style: RuleStyle; readonly settings: IptablesSettings },
): Promise<PlanWithoutTaken> {
  // The document's rule takes every address of the host, 127.0.0.0/8 among them.
  return withoutTakenNodePorts(plan, { machine, takePorts, takesLoopback: style.dialect === "document" });
}
