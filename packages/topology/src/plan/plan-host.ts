import { type Family, familyOf, type IpAddress } from "../address.ts";
import { inputError } from "../errors.ts";
import type { Host, Service, ServicePort, Topology } from "../model.ts";
import { quote } from "../visible.ts";
import { detectPods } from "./detect-pods.ts";
import type { HealthCheck, HostPlan, OnwardEndpoint, ServicePortPlan } from "./host-plan.ts";
import { nodePortAddresses } from "./node-port-addresses.ts";
import { OnwardMemory } from "./onward-memory.ts";
import { changesOf, type MachineBesideVips, PlanMemory, type PortPlaces, recall, remember } from "./plan-memory.ts";
import { type PlanContext, planService, type ServicePlan } from "./plan-service.ts";
import { differenceOf, keyOf, type ServiceDifference } from "./service-difference.ts";

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
  const memory = previous === undefined ? undefined : recall(previous);
  const difference = memory === undefined ? undefined : differenceOf(memory.services, topology.services);
  const machine = machineBesideVips(topology, { machineAddresses, last: memory?.machine, difference });
  const isSameMachine = memory !== undefined && machine === memory.machine;
  const context = contextOf(topology, { host, machine, previous, isSameMachine });
  const isSame = previous !== undefined && isSameContext(previous, context);
  const search = memory?.takeSearch() ?? new OnwardMemory();
  const onward = search.find(topology, context, difference);
  const planOne = (service: Service) => planService(service, { ...context, onward });
  const leadsOn = onward.size > 0 || memory?.leadsOn !== false;
  const replaced =
    isSame && !leadsOn && memory !== undefined && difference?.places !== undefined
      ? replaceServices(previous, { memory, places: difference.places, services: topology.services, planOne })
      : undefined;
  const { plans, changed, portPlaces, ports, healthChecks } =
    replaced ?? planServices(topology.services, { previous: isSame ? previous : undefined, memory, onward, planOne });
  const plan: HostPlan = { ...context, hosts: topology.hosts, ports, healthChecks };
  for (const service of difference?.gone ?? []) changed.add(keyOf(service));
  remember(
    plan,
    new PlanMemory({
      ...{ services: topology.services, plans, search, machine, leadsOn: onward.size > 0 },
      places: replaced === undefined ? undefined : memory?.places,
      portPlaces,
      changedFrom: isSame && difference !== undefined ? { previous, changed } : undefined,
    }),
  );
  return plan;
}

interface PlannedServices extends Pick<HostPlan, "ports" | "healthChecks"> {
  /** By their places in the topology. */
  readonly plans: readonly ServicePlan[];
  /** Those that were planned anew, `namespace/name`. */
  readonly changed: Set<string>;
  /** Those of the last plan, where they are the same. */
  readonly portPlaces?: PortPlaces | undefined;
}

/** Those few that are otherwise, each in its place, in a copy of what there was. */
function replaceServices(
  previous: HostPlan,
  {
    memory,
    places,
    services,
    planOne,
  }: {
    readonly memory: PlanMemory;
    /** In rising order. */
    readonly places: readonly number[];
    readonly services: readonly Service[];
    readonly planOne: (service: Service) => ServicePlan;
  },
): PlannedServices {
  const plans = memory.plans.slice();
  const ports = previous.ports.slice();
  const changed = new Set<string>();
  let [isAligned, hasChecks] = [true, false];
  for (const place of places) {
    const [service, last] = [services[place], memory.plans[place]];
    if (service === undefined || last === undefined) throw new TypeError("there is no such service");
    const planned = planOne(service);
    plans[place] = planned;
    changed.add(keyOf(service));
    isAligned &&= planned.ports.length === last.ports.length;
    const start = memory.portPlaces.startOf(place);
    if (isAligned) for (const [index, port] of planned.ports.entries()) ports[start + index] = port;
    hasChecks ||= planned.healthChecks.length > 0 || last.healthChecks.length > 0;
  }
  return {
    ...{ plans, changed },
    ports: isAligned ? ports : plans.flatMap((plan) => plan.ports),
    portPlaces: isAligned ? memory.portPlaces : undefined,
    healthChecks: hasChecks ? plans.flatMap((plan) => plan.healthChecks) : previous.healthChecks,
  };
}

/** @param options.previous undefined: what all services hang on is otherwise */
function planServices(
  services: readonly Service[],
  {
    previous,
    memory,
    onward,
    planOne,
  }: {
    readonly previous: HostPlan | undefined;
    readonly memory: PlanMemory | undefined;
    readonly onward: ReadonlyMap<ServicePort, readonly OnwardEndpoint[]>;
    readonly planOne: (service: Service) => ServicePlan;
  },
): PlannedServices {
  const leadsOn = onward.size > 0 || memory?.leadsOn !== false;
  const known = previous === undefined ? undefined : (memory?.byService() ?? knownServices(previous));
  const changed = new Set<string>();
  const plans = services.map((service) => {
    const last = known?.get(service);
    if (last !== undefined && !(leadsOn && !leadsOnAlike(last, onward))) return last;
    changed.add(keyOf(service));
    return planOne(service);
  });
  return {
    ...{ plans, changed },
    ports: plans.flatMap(({ ports }) => ports),
    healthChecks: plans.flatMap(({ healthChecks }) => healthChecks),
  };
}

/**
 * The services (`namespace/name`) whose part of the plan is another one than in `previous`; those that came or went are among them.
 *
 * @param previous what `plan` was made from
 * @returns undefined where more changed than services and hosts, and all of the plan has to be looked at
 */
export function changedServices(plan: HostPlan, previous: HostPlan): ReadonlySet<string> | undefined {
  if (!isSameContext(previous, plan)) return undefined;
  const known = changesOf(plan);
  if (known?.previous === previous) return known.changed;
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

/** What a machine has besides VIPs that somebody made local: with thousands of those each NodePort would be served on thousands of addresses. */
function machineBesideVips(
  { services }: Topology,
  {
    machineAddresses,
    last,
    difference,
  }: {
    readonly machineAddresses: readonly IpAddress[];
    readonly last: MachineBesideVips | undefined;
    readonly difference: ServiceDifference | undefined;
  },
): MachineBesideVips {
  const all = new Set(machineAddresses);
  const isLast = all.size === last?.all.size && machineAddresses.every((address) => last.all.has(address));
  const isVip = ({ clusterIPs }: Service) => clusterIPs.some((address) => all.has(address));
  if (isLast && difference !== undefined && ![...difference.gone, ...difference.come].some(isVip)) return last;
  const own = new Set(machineAddresses);
  if (own.size > 0) for (const service of services) for (const address of service.clusterIPs) own.delete(address);
  return { all, own: [...own] };
}

function contextOf(
  { node }: Topology,
  {
    host,
    machine,
    previous,
    isSameMachine,
  }: {
    readonly host: Host;
    readonly machine: MachineBesideVips;
    readonly previous: HostPlan | undefined;
    /** Whether it is as it was for `previous`. */
    readonly isSameMachine: boolean;
  },
): PlanContext {
  if (isSameMachine && previous?.host === host && previous.node === node) {
    const { podDetector, nodePortAddresses: addresses } = previous;
    return { host, node, podDetector, nodePortAddresses: addresses };
  }
  const places = (family: Family) => nodePortAddresses({ family, host, node, machineAddresses: machine.own });
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
