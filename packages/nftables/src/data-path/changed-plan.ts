import { composePlan, serviceName } from "@svcproxy/host";
import { changedServices, type HostPlan, portsOfService, type ServicePortPlan } from "@svcproxy/topology";

/** What of a plan is to be carried out where only some services changed. */
export interface ChangedPlan {
  /** The new plan for these services, the last one for the rest. */
  readonly asked: HostPlan;
  /** All ports that these services have in it. */
  readonly ports: readonly ServicePortPlan[];
}

/**
 * Takes what is named as changed out of a new plan. Where `planHost` made it from the last one, and nothing else changed, that costs what
 * is named.
 *
 * @param services `namespace/name`
 */
export function changedPlan(
  plan: HostPlan,
  { last, services }: { readonly last: HostPlan; readonly services: ReadonlySet<string> },
): ChangedPlan {
  const differing = changedServices(plan, last);
  if (differing !== undefined && [...differing].every((name) => services.has(name)))
    return { asked: plan, ports: [...services].flatMap((name) => portsOfService(plan, name)) };
  // By the bare name first: few have one of those, and a full one has to be put together.
  const bare = new Set([...services].map((name) => name.slice(name.indexOf("/") + 1)));
  const isNamed = (port: ServicePortPlan) => bare.has(port.service.name) && services.has(serviceName(port));
  const rest = plan.ports.filter((port) => !isNamed(port));
  const lastRest = last.ports.filter((port) => !isNamed(port));
  const isShared = rest.length === lastRest.length && rest.every((port, index) => port === lastRest[index]);
  const asked = isShared ? plan : composePlan(plan, { other: last, isOther: (name) => !services.has(name) });
  return { asked, ports: asked.ports.filter(isNamed) };
}
