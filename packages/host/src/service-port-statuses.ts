import type { Problem, ServicePortPlan } from "@svcproxy/topology";
import type { ServicePortStatus } from "./data-path.ts";

export interface StatusInput {
  /** Of the plan that was applied, in its order. */
  readonly ports: readonly ServicePortPlan[];
  /** The statuses before: who stands as it stood keeps its time. */
  readonly before: readonly ServicePortStatus[];
  /** How a port stands; undefined: in force. */
  readonly shortfall: (port: ServicePortPlan) => Shortfall | undefined;
  readonly now: Date;
}

/** Why a port is not served as planned. */
export interface Shortfall {
  readonly state: "refused" | "failed";
  readonly problem: Problem;
}

/** What a session of a data path tells after an apply. */
export function servicePortStatuses({ ports, before, shortfall, now }: StatusInput): readonly ServicePortStatus[] {
  const last = new Map(before.map((status) => [keyOf(status), status]));
  return ports.map((planned) => {
    const { port, family } = planned;
    const found = shortfall(planned);
    const status: ServicePortStatus = {
      service: serviceName(planned),
      portName: port.name ?? "",
      ...{ protocol: port.protocol, port: port.port, family },
      state: found?.state ?? "in-force",
      ...(found === undefined ? {} : { problem: found.problem }),
      since: now,
    };
    const known = last.get(keyOf(status));
    return known !== undefined && isSame(known, status) ? { ...status, since: known.since } : status;
  });
}

const counted = new WeakMap<readonly ServicePortStatus[], Readonly<Record<ServicePortStatus["state"], number>>>();

/** How many stand how; asked several times of one list, it counts once. */
export function countStates(
  statuses: readonly ServicePortStatus[],
): Readonly<Record<ServicePortStatus["state"], number>> {
  const known = counted.get(statuses);
  if (known !== undefined) return known;
  const counts = { "in-force": 0, refused: 0, failed: 0 };
  for (const { state } of statuses) counts[state]++;
  counted.set(statuses, counts);
  return counts;
}

/** Tells a port of a plan from all others: its service, its place there, its family. */
export function servicePortKey(port: ServicePortPlan): string {
  return `${serviceName(port)} ${port.portIndex} ${port.family}`;
}

/** `namespace/name` of the service whose port it is. */
export function serviceName({ service: { namespace, name } }: Pick<ServicePortPlan, "service">): string {
  return `${namespace}/${name}`;
}

function keyOf({ service, portName, protocol, port, family }: ServicePortStatus): string {
  return [service, portName, protocol, port, family].join(" ");
}

function isSame(a: ServicePortStatus, b: ServicePortStatus): boolean {
  return a.state === b.state && a.problem?.code === b.problem?.code;
}
