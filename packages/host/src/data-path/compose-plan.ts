import type { HostPlan } from "@svcproxy/topology";
import { serviceName } from "./service-port-statuses.ts";

/**
 * A plan in which some services have the part that another plan gives them: none where that plan does not have them. Those that the
 * other plan alone has come last.
 *
 * @param isOther whether a service (`namespace/name`) is to be as in `other`
 */
export function composePlan(
  plan: HostPlan,
  { other, isOther }: { readonly other: HostPlan | undefined; readonly isOther: (service: string) => boolean },
): HostPlan {
  return {
    ...plan,
    ports: composeParts(plan.ports, { others: other?.ports ?? [], isOther }),
    healthChecks: composeParts(plan.healthChecks, { others: other?.healthChecks ?? [], isOther }),
  };
}

type Part = Parameters<typeof serviceName>[0];

function composeParts<One extends Part>(
  parts: readonly One[],
  { others, isOther }: { readonly others: readonly One[]; readonly isOther: (service: string) => boolean },
): readonly One[] {
  const own = Map.groupBy(parts, serviceName);
  const theirs = Map.groupBy(others, serviceName);
  const names = new Set([...own.keys(), ...[...theirs.keys()].filter(isOther)]);
  return [...names].flatMap((name) => (isOther(name) ? theirs : own).get(name) ?? []);
}

/** The services of a plan, in its order. */
export function servicesOf({ ports }: HostPlan): readonly string[] {
  return [...new Set(ports.map(serviceName))];
}

/** Whether a service that is the same is carried out alike in both plans. */
export function sameContext(a: HostPlan, b: HostPlan): boolean {
  const isSame =
    a.host === b.host &&
    a.node === b.node &&
    a.podDetector === b.podDetector &&
    a.nodePortAddresses === b.nodePortAddresses;
  return isSame || contextText(a) === contextText(b);
}

function contextText({ host, node, podDetector, nodePortAddresses }: HostPlan): string {
  const { name, addresses, podCIDRs, zone } = host;
  return JSON.stringify([name, addresses, podCIDRs, zone, node, podDetector, nodePortAddresses]);
}
