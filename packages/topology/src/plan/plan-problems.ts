import { formatSocketAddress } from "../address.ts";
import type { Service, Topology } from "../model.ts";
import { listNames, type Problem } from "../problem.ts";
import { findOnwardEndpoints } from "./find-onward-endpoints.ts";
import type { HostPlan, OnwardEndpoint, ServicePortPlan } from "./host-plan.ts";
import { findInPorts } from "./plan-memory.ts";

/** What is not as it should be in a plan, whatever data path carries it out. */
export function planProblems(plan: HostPlan): readonly Problem[] {
  return onwardProblems(portsLeadingOn(plan));
}

/** Those of which an endpoint is a frontend itself. */
export const portsLeadingOn = findInPorts((port) => (port.onward.length > 0 ? [port] : NONE));

const NONE: readonly ServicePortPlan[] = [];

/** The same of a topology, of whatever host. */
export function topologyProblems(topology: Topology): readonly Problem[] {
  const onward = findOnwardEndpoints(topology);
  return onwardProblems(
    topology.services.flatMap((service) => service.ports.map((port) => ({ service, onward: onward.get(port) ?? [] }))),
  );
}

/** One problem of a kind for each service: its NodePorts may lead back on every address of every host. */
function onwardProblems(
  ports: readonly { readonly service: Service; readonly onward: readonly OnwardEndpoint[] }[],
): readonly Problem[] {
  const leading = ports.filter(({ onward }) => onward.length > 0);
  return [...Map.groupBy(leading, ({ service }) => service)].flatMap(([{ namespace, name }, found]) => {
    const subject = `service ${namespace}/${name}`;
    const all = found.flatMap(({ onward }) => onward);
    const loops = listEndpoints(all.filter(({ isLoop }) => isLoop));
    const chains = listEndpoints(all.filter(({ isLoop }) => !isLoop));
    return [
      ...problemOf(loops, {
        ...{ code: "ENDPOINT_LOOP", severity: "warning", subject },
        text: `Endpoints of ${namespace}/${name} lead back to it, and are left out: ${loops}`,
        hint: "Name the pods that serve, not an address at which a service of the topology is reached",
      }),
      ...problemOf(chains, {
        ...{ code: "ENDPOINT_CHAIN", severity: "warning", subject },
        text: `Endpoints of ${namespace}/${name} are reached through another service: ${chains}`,
        hint: "Name the endpoints of the other service, unless each connection is meant to pass through both",
      }),
    ];
  });
}

/** `10.96.0.2:80 (ClusterIP of default/b)`, …, each once. */
function listEndpoints(onward: readonly OnwardEndpoint[]): string {
  const named = onward.map(
    ({ endpoint, kind, service }) => `${formatSocketAddress(endpoint)} (${FRONTEND_NAMES[kind]} of ${service})`,
  );
  return listNames(named);
}

function problemOf(list: string, problem: Problem): readonly Problem[] {
  return list === "" ? [] : [problem];
}

/** How people are told of a kind of frontend. */
export const FRONTEND_NAMES = {
  clusterIP: "ClusterIP",
  externalIP: "external IP",
  loadBalancerIP: "load-balancer IP",
  nodePort: "NodePort",
} as const;
