import { type Family, familyOf, type IpAddress } from "../address.ts";
import { inputError } from "../errors.ts";
import type { Host, Service, ServicePort, Topology } from "../model.ts";
import { quote } from "../visible.ts";
import { detectPods } from "./detect-pods.ts";
import type { HealthCheck, HostPlan, OnwardEndpoint, ServicePortPlan } from "./host-plan.ts";
import { nodePortAddresses } from "./node-port-addresses.ts";
import { OnwardMemory, type ServiceDifference } from "./onward-memory.ts";
import { type PlanContext, planService, type ServicePlan } from "./plan-service.ts";

export interface PlanOptions {
  /** Name of the host for which the plan is made. */
  readonly host: string;
  /** Addresses of this host's interfaces, where its machine was looked at; without the VIPs that it made local itself. */
  readonly machineAddresses?: readonly IpAddress[];
  /** The last plan of this host: what nothing changed for is taken over from it, the very same objects. */
  readonly previous?: HostPlan;
}

/**
 * Decides what `host` promises: the one place where policy is made.
 *
 * A service is planned anew where it, or what it hangs on, is another object than in `previous`; so a topology that shares its
 * unchanged services with the last one costs the planning of those that changed.
 *
 * @throws InputError UNKNOWN_HOST where the topology lists no such host
 */
export function planHost(topology: Topology, { host: name, machineAddresses = [], previous }: PlanOptions): HostPlan {
  const host = topology.hosts.find((candidate) => candidate.name === name);
  if (host === undefined) {
    const known = topology.hosts.map((candidate) => quote(candidate.name)).join(", ");
    throw inputError("UNKNOWN_HOST", `Cannot plan for host ${quote(name)}: the topology does not list it`, {
      hint: known === "" ? "List the host under `hosts:`" : `Known hosts: ${known}`,
    });
  }
  const context = contextOf(topology, { host, machineAddresses, previous });
  const isSame = previous !== undefined && isSameContext(previous, context);
  const memory = previous === undefined ? undefined : takeMemory(previous);
  const difference = memory === undefined ? undefined : differenceOf(memory.services, topology.services);
  const search = memory?.search ?? new OnwardMemory();
  const onward = search.find(topology, context, difference);
  const leadsOn = onward.size > 0 || memory?.leadsOn !== false;
  const known = isSame ? (memory?.plans ?? knownServices(previous)) : new Map<Service, ServicePlan>();
  const changed = new Set(difference?.gone.map(keyOf));
  for (const service of difference?.gone ?? []) known.delete(service);
  const services = topology.services.map((service) => {
    const last = known.get(service);
    if (last !== undefined && !(leadsOn && !leadsOnAlike(last, onward))) return last;
    const planned = planService(service, { ...context, onward });
    known.set(service, planned);
    changed.add(keyOf(service));
    return planned;
  });
  const plan: HostPlan = {
    ...context,
    hosts: topology.hosts,
    ports: services.flatMap(({ ports }) => ports),
    healthChecks: services.flatMap(({ healthChecks }) => healthChecks),
  };
  memories.set(plan, {
    ...{ services: topology.services, plans: known, search, leadsOn: onward.size > 0 },
    ...(isSame && difference !== undefined ? { changedFrom: { previous, changed } } : {}),
  });
  return plan;
}

/** What is known besides of the last plan of a host, so that the next one costs what changes. */
interface PlanMemory {
  readonly services: readonly Service[];
  readonly plans: Map<Service, ServicePlan>;
  readonly search: OnwardMemory;
  /** Whether an endpoint is a frontend itself. */
  readonly leadsOn: boolean;
  readonly changedFrom?: { readonly previous: HostPlan; readonly changed: ReadonlySet<string> };
}

const memories = new WeakMap<HostPlan, PlanMemory>();

/** It changes with the next plan: whoever plans a second time from the same one has to find out anew. */
function takeMemory(plan: HostPlan): PlanMemory | undefined {
  const memory = memories.get(plan);
  memories.delete(plan);
  return memory;
}

function differenceOf(before: readonly Service[], after: readonly Service[]): ServiceDifference {
  if (before === after) return { gone: [], come: [] };
  // Most of thousands are in their place.
  const gone = new Set(before.filter((service, index) => service !== after[index]));
  const come = new Set(after.filter((service, index) => service !== before[index]));
  return {
    gone: [...gone].filter((service) => !come.has(service)),
    come: [...come].filter((service) => !gone.has(service)),
  };
}

function keyOf({ namespace, name }: Service): string {
  return `${namespace}/${name}`;
}

/**
 * The services (`namespace/name`) whose part of the plan is another one than in `previous`; those that came or went are among them.
 *
 * @param previous what `plan` was made from
 * @returns undefined where more changed than services and hosts, and all of the plan has to be looked at
 */
export function changedServices(plan: HostPlan, previous: HostPlan): ReadonlySet<string> | undefined {
  if (!isSameContext(previous, plan)) return undefined;
  const memory = memories.get(plan)?.changedFrom;
  if (memory?.previous === previous) return memory.changed;
  const names = new Set<string>();
  const collect = (from: HostPlan, besides: HostPlan) => {
    const same = new Set<ServicePortPlan | HealthCheck>([...besides.ports, ...besides.healthChecks]);
    for (const part of [...from.ports, ...from.healthChecks]) {
      if (!same.has(part)) names.add(`${part.service.namespace}/${part.service.name}`);
    }
  };
  collect(previous, plan);
  collect(plan, previous);
  return names;
}

function contextOf(
  { node, services }: Topology,
  {
    host,
    machineAddresses,
    previous,
  }: { readonly host: Host; readonly machineAddresses: readonly IpAddress[]; readonly previous: HostPlan | undefined },
): PlanContext {
  // ClusterIPs that somebody else made local are VIPs still: with thousands of them each NodePort would be served on thousands of addresses.
  const own = new Set(machineAddresses);
  if (own.size > 0) for (const service of services) for (const address of service.clusterIPs) own.delete(address);
  const places = (family: Family) => nodePortAddresses({ family, host, node, machineAddresses: [...own] });
  return {
    host,
    node: lastIfEqual(node, previous?.node),
    podDetector: lastIfEqual(detectPods(host, node), previous?.podDetector),
    nodePortAddresses: lastIfEqual({ 4: places(4), 6: places(6) }, previous?.nodePortAddresses),
  };
}

function lastIfEqual<Value>(now: Value, last: Value | undefined): Value {
  return last !== undefined && JSON.stringify(last) === JSON.stringify(now) ? last : now;
}

/** Whether a service that is the same has the same plan. */
function isSameContext(a: PlanContext, b: PlanContext): boolean {
  return (
    a.node === b.node &&
    a.podDetector === b.podDetector &&
    a.nodePortAddresses === b.nodePortAddresses &&
    (a.host === b.host || factsOf(a.host) === factsOf(b.host))
  );
}

/** What plans hang on of a host: its pods are not among it, because endpoints say where they are. */
function factsOf({ name, addresses, podCIDRs, zone }: Host): string {
  return JSON.stringify([name, addresses, podCIDRs, zone]);
}

/** The parts of a plan, by what they were planned from. */
function knownServices({ ports, healthChecks }: HostPlan): Map<Service, ServicePlan> {
  const checks = Map.groupBy(healthChecks, ({ service }) => service);
  return new Map(
    [...Map.groupBy(ports, ({ service }) => service)].map(([service, ofService]) => [
      service,
      { ports: ofService, healthChecks: checks.get(service) ?? [] },
    ]),
  );
}

function leadsOnAlike({ ports }: ServicePlan, onward: ReadonlyMap<ServicePort, readonly OnwardEndpoint[]>): boolean {
  return ports.every((planned) => {
    const now = onward.get(planned.port)?.filter(({ endpoint }) => familyOf(endpoint.address) === planned.family) ?? [];
    return (
      now.length === planned.onward.length &&
      now.every((one, index) => {
        const last = planned.onward[index];
        return (
          one.endpoint === last?.endpoint &&
          one.kind === last.kind &&
          one.service === last.service &&
          one.isLoop === last.isLoop
        );
      })
    );
  });
}
