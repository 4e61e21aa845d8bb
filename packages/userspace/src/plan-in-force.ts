import { type ServicePortStatus, serviceName } from "@svcproxy/host";
import type { HostPlan, ServicePortPlan } from "@svcproxy/topology";

/**
 * The plan that holds after an apply of `plan` that names what changed: of all other services it is the last one. Those that
 * failed are tried again.
 */
export function planInForce(
  plan: HostPlan,
  {
    last,
    changed,
    status,
  }: {
    readonly last: HostPlan | undefined;
    readonly changed: ReadonlySet<string> | undefined;
    readonly status: readonly ServicePortStatus[];
  },
): { readonly plan: HostPlan; readonly changed: ReadonlySet<string> | undefined } {
  if (last === undefined || changed === undefined) return { plan, changed: undefined };
  const failed = status.filter(({ state }) => state === "failed").map(({ service }) => service);
  const looked = new Set([...changed, ...failed]);
  const before = new Map(last.ports.map((port) => [placeOf(port), port]));
  const ports = plan.ports.map((port) => (looked.has(serviceName(port)) ? port : (before.get(placeOf(port)) ?? port)));
  return { plan: { ...plan, ports }, changed: looked };
}

function placeOf(port: ServicePortPlan): string {
  return `${serviceName(port)} ${port.portIndex} ${port.family}`;
}
