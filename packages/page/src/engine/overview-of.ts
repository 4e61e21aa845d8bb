import { type Endpoint, listNames, type Problem, type Service, type Topology } from "@svcproxy/topology";
import type {
  EndpointCondition,
  PageEndpoint,
  PagePlace,
  PagePort,
  PageProblem,
  PageService,
  PageState,
  ServiceState,
} from "../model.ts";
import type { Listed, ListedHost } from "./viewed.ts";

/** What the page shows first. */
export function overviewOf(listed: Listed): PageState {
  const { topology, hosts, source, takenAt } = listed;
  return {
    version: 1,
    source,
    takenAt,
    hosts: hosts.map(({ name, dataPath, rules, state, staleSince }) => ({
      name,
      rules,
      ...(dataPath === undefined ? {} : { dataPath }),
      ...(state === undefined ? {} : { state }),
      ...(staleSince === undefined ? {} : { staleSince }),
    })),
    places: topology.hosts.map(placeOf),
    services: topology.services.map((service) => ({
      ...pageService(service),
      states: hosts.map((host) => stateOf(host, serviceId(service))),
    })),
    problems: problemsOf(listed),
  };
}

export function serviceId({ namespace, name }: Pick<Service, "namespace" | "name">): string {
  return `${namespace}/${name}`;
}

function placeOf({ name, addresses, pods }: Topology["hosts"][number]): PagePlace {
  return {
    name,
    addresses,
    pods: pods.map((pod) => ({ name: pod.name, addresses: pod.addresses.map(({ address }) => address) })),
  };
}

/** A service without its states. */
export function pageService(service: Service): Omit<PageService, "states"> {
  return {
    id: serviceId(service),
    namespace: service.namespace,
    name: service.name,
    ports: service.ports.map((port) => pagePort(service, port)),
    endpoints: endpointsOf(service),
  };
}

function pagePort(service: Service, port: Service["ports"][number]): PagePort {
  const isHere = (address: string) => port.takenAt?.some((taken) => taken === address) !== true;
  return {
    name: port.name,
    protocol: port.protocol,
    port: port.port,
    ...(port.nodePort === undefined ? {} : { nodePort: port.nodePort }),
    addresses: [
      ...service.clusterIPs.map((address) => ({ kind: "clusterIP" as const, address })),
      ...service.externalIPs.filter(isHere).map((address) => ({ kind: "externalIP" as const, address })),
      ...service.loadBalancerIPs.filter(isHere).map((address) => ({ kind: "loadBalancerIP" as const, address })),
    ],
  };
}

/** Each address and port once, with all ports that lead to it. */
function endpointsOf({ ports }: Service): readonly PageEndpoint[] {
  const found = new Map<string, { endpoint: Endpoint; portNames: string[] }>();
  for (const { name, endpoints } of ports) {
    for (const endpoint of endpoints) {
      const key = `${endpoint.address} ${endpoint.port}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { endpoint, portNames: [name] });
      else if (!known.portNames.includes(name)) known.portNames.push(name);
    }
  }
  return Array.from(found.values(), ({ endpoint, portNames }) => ({
    address: endpoint.address,
    port: endpoint.port,
    condition: conditionOf(endpoint),
    portNames,
    ...(endpoint.host === undefined ? {} : { host: endpoint.host }),
    ...(endpoint.pod === undefined ? {} : { pod: endpoint.pod }),
  }));
}

function conditionOf({ ready, serving, terminating }: Endpoint): EndpointCondition {
  if (ready) return "ready";
  return serving && terminating ? "draining" : "dead";
}

function stateOf({ states, rules }: ListedHost, id: string): ServiceState {
  const known = states?.[id];
  if (known !== undefined) return known;
  return { kind: rules === "read" ? "checking" : "planned" };
}

/** Those of the topology, then each host's; errors first. */
function problemsOf({ problems, hosts, topology }: Listed): readonly PageProblem[] {
  const all: readonly PageProblem[] = [
    ...problems.map((problem) => pageProblem(problem)),
    ...hosts.flatMap(({ name, problems: own = [] }) =>
      own.filter(({ code }) => code !== TOLD_BY_ALL).map((problem) => pageProblem(problem, name)),
    ),
    ...withoutEndpoints(topology),
  ];
  return all.toSorted((a, b) => rank(a) - rank(b));
}

/** Of each service by the doctor, and here of all of them at once. */
const TOLD_BY_ALL: Problem["code"] = "NO_READY_ENDPOINT";

function rank({ severity }: PageProblem): number {
  return severity === "error" ? 0 : 1;
}

function pageProblem(
  { code, severity, subject, text, hint, at, evidence = [], remedy = [] }: Problem,
  host?: string,
): PageProblem {
  const place = at === undefined ? undefined : "object" in at ? at.object : `${at.file}:${at.line}:${at.column}`;
  const seen = place === undefined ? evidence : [place, ...evidence];
  return {
    code,
    severity,
    subject,
    text,
    // Where it only repeats the commands, these are enough.
    ...(hint === undefined || hint === remedy.join(" && ") ? {} : { hint }),
    ...(seen.length === 0 ? {} : { evidence: seen }),
    ...(remedy.length === 0 ? {} : { remedy }),
    ...(host === undefined ? {} : { host }),
  };
}

/** A service that nobody serves refuses its clients: as planned, and what people look for first. */
function withoutEndpoints({ services }: Topology): readonly PageProblem[] {
  const empty = services.filter(
    (service) => service.ports.length > 0 && endpointsOf(service).every(({ condition }) => condition === "dead"),
  );
  if (empty.length === 0) return [];
  return [
    {
      code: "NO_ENDPOINTS",
      severity: "warning",
      subject: empty.length === 1 ? `service ${listNames(empty.map(serviceId))}` : `${empty.length} services`,
      text: "No endpoint is ready, so clients are refused",
      services: empty.map(serviceId),
      hint: "Look whether their pods run and are ready",
    },
  ];
}
