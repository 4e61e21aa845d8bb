import { type HostPlan, inputError, nearestWord, type Problem, type Service, type Topology } from "@svcproxy/topology";

/** Which services `check` shows; without any filter, all of them. */
export interface CheckFilter {
  /** `namespace/name`, or a name in whatever namespace. */
  readonly services: readonly string[];
  readonly namespaces: readonly string[];
  /** Only those with a port that has no ready endpoint. */
  readonly unready: boolean;
}

/**
 * The part of a topology that the filter lets through: its services, and of the pods those that serve them.
 *
 * @throws InputError UNKNOWN_SERVICE where no service has a name that is asked for
 */
export function filterTopology(topology: Topology, filter: CheckFilter): Topology {
  const { services, namespaces, unready } = filter;
  if (services.length === 0 && namespaces.length === 0 && !unready) return topology;
  refuseUnknown(topology, filter);
  const shown = topology.services.filter(
    (service) =>
      (services.length === 0 || services.includes(service.name) || services.includes(keyOf(service))) &&
      (namespaces.length === 0 || namespaces.includes(service.namespace)) &&
      (!unready || isUnready(service)),
  );
  const pods = new Set(shown.flatMap(({ ports }) => ports.flatMap(({ endpoints }) => endpoints.map(({ pod }) => pod))));
  return {
    ...topology,
    services: shown,
    hosts: topology.hosts.map((host) => ({ ...host, pods: host.pods.filter(({ name }) => pods.has(name)) })),
  };
}

/** The same part of what a host does; loops and what else hangs on all services have been found before. */
export function filterPlan(plan: HostPlan, { services }: Topology): HostPlan {
  const shown = new Set(services);
  return {
    ...plan,
    ports: plan.ports.filter(({ service }) => shown.has(service)),
    healthChecks: plan.healthChecks.filter(({ service }) => shown.has(service)),
  };
}

/** Those about one of the services, and those about none in particular. */
export function filterProblems(problems: readonly Problem[], { services }: Topology): readonly Problem[] {
  const shown = new Set(services.map((service) => `service ${keyOf(service)}`));
  return problems.filter(({ subject }) => !subject.startsWith("service ") || shown.has(subject));
}

function isUnready({ clusterIPs, ports }: Service): boolean {
  return clusterIPs.length > 0 && ports.some(({ endpoints }) => !endpoints.some(({ ready }) => ready));
}

function refuseUnknown({ services }: Topology, filter: CheckFilter): void {
  const keys = services.map(keyOf);
  const names = services.map(({ name }) => name);
  for (const wanted of filter.services) refuseUnless(wanted, { among: [...keys, ...names], what: "service" });
  const namespaces = new Set(services.map(({ namespace }) => namespace));
  for (const wanted of filter.namespaces) refuseUnless(wanted, { among: [...namespaces], what: "namespace" });
}

function refuseUnless(
  wanted: string,
  { among, what }: { readonly among: readonly string[]; readonly what: string },
): void {
  if (among.includes(wanted)) return;
  const near = nearestWord(wanted, among);
  throw inputError("UNKNOWN_SERVICE", `The topology has no ${what} ${JSON.stringify(wanted)}`, {
    ...(near === undefined ? {} : { hint: `Did you mean ${JSON.stringify(near)}?` }),
  });
}

function keyOf({ namespace, name }: Service): string {
  return `${namespace}/${name}`;
}
