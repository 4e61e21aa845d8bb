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
  let last: ReadonlyMap<string, ServicePortStatus> | undefined;
  return ports.map((planned, index) => {
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
    let known = before[index];
    // Most of thousands are in their place.
    if (known === undefined || !isOfSamePort(known, status)) {
      last ??= new Map(before.map((one) => [keyOf(one), one]));
      known = last.get(keyOf(status));
    }
    if (known === undefined || !isSame(known, status)) return status;
    return known.problem === status.problem ? known : { ...status, since: known.since };
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
  // By index: each change asks this of thousands, and an iterator would make an object for each of them.
  for (let index = 0; index < statuses.length; index++) {
    const status = statuses[index];
    if (status !== undefined) counts[status.state]++;
  }
  counted.set(statuses, counts);
  return counts;
}

/** Counts a list of which only some statuses are not as in `before`, by those alone. @param places where they stand in both */
export function countChanged(
  statuses: readonly ServicePortStatus[],
  { before, places }: { readonly before: readonly ServicePortStatus[]; readonly places: Iterable<number> },
): void {
  const counts = { ...countStates(before) };
  for (const place of new Set(places)) {
    const [was, is] = [before[place], statuses[place]];
    if (was !== undefined) counts[was.state]--;
    if (is !== undefined) counts[is.state]++;
  }
  counted.set(statuses, counts);
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

function isOfSamePort(a: ServicePortStatus, b: ServicePortStatus): boolean {
  const isSamePort = a.port === b.port && a.protocol === b.protocol && a.portName === b.portName;
  return a.service === b.service && isSamePort && a.family === b.family;
}

function isSame(a: ServicePortStatus, b: ServicePortStatus): boolean {
  return a.state === b.state && a.problem?.code === b.problem?.code;
}
