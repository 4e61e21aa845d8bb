import { familyOf, formatSocketAddress, type IpAddress, type Port, parsePort } from "../address.ts";
import { CidrIndex } from "../cidr-index.ts";
import type { Endpoint, Host, Service, Topology } from "../model.ts";
import type { InputProblem } from "../problem.ts";
import { targetPortsOf } from "./build-entries.ts";
import { formatEntryKey } from "./entry-key.ts";
import type { EntriesRead } from "./entry-topology.ts";
import type { RegisteredEndpoint } from "./read-endpoint.ts";

/** What is to be taken out of use: an endpoint by the name of its registration, of its pod, or by `ip:port`. */
export interface Drain {
  readonly namespace: string;
  readonly service: string;
  readonly endpoint: string;
}

export interface LayeredTopology {
  readonly topology: Topology;
  /** Registrations that serve nothing, and drains that name nobody. */
  readonly problems: readonly InputProblem[];
}

/** The topology of entries with those who registered themselves, and without what is drained. Services that this does not concern are shared. */
export function layerEndpoints(
  { topology, services }: Pick<EntriesRead, "topology" | "services">,
  {
    endpoints,
    drains,
    previous,
  }: {
    readonly endpoints: readonly RegisteredEndpoint[];
    readonly drains: readonly Drain[];
    /** What the last call returned: a service for which all is the same is taken over from it. */
    readonly previous?: LayerMemory;
  },
): LayeredTopology & { readonly memory: LayerMemory } {
  const problems: InputProblem[] = [];
  const registered = Map.groupBy(endpoints, serviceKey);
  const drained = Map.groupBy(drains, serviceKey);
  const directory = new Directory(topology.hosts);
  const memory = new Map<Service, Layer>();
  const layered = topology.services.map((service) => {
    const key = `${service.namespace}/${service.name}`;
    const [own = [], out = []] = [registered.get(key), drained.get(key)];
    registered.delete(key);
    drained.delete(key);
    if (own.length === 0 && out.length === 0) return service;
    const before = previous?.hosts === topology.hosts ? previous.layers.get(service) : undefined;
    const layer =
      before !== undefined && isSame(before.own, own) && isSame(before.out, out)
        ? before
        : { own, out, ...layerService(service, { own, out, directory, services }) };
    memory.set(service, layer);
    problems.push(...layer.problems);
    return layer.service;
  });
  for (const [key, alike] of registered) {
    problems.push({
      code: "UNKNOWN_SERVICE",
      severity: "warning",
      subject: `service ${key}`,
      text: `${alike.length === 1 ? "An endpoint is" : `${alike.length} endpoints are`} registered for service ${JSON.stringify(key)}, which is not there: ${alike
        .map(({ id }) => id)
        .slice(0, 5)
        .join(", ")}`,
      hint: "Put the service, or end what registers: svcproxy register",
    });
  }
  return {
    topology: layered.every((service, index) => service === topology.services[index])
      ? topology
      : { ...topology, services: layered },
    problems,
    memory: { hosts: topology.hosts, layers: memory },
  };
}

/** What was layered upon which service, for the next time. */
export interface LayerMemory {
  readonly hosts: readonly Host[];
  readonly layers: ReadonlyMap<Service, Layer>;
}

interface Layer {
  readonly own: readonly RegisteredEndpoint[];
  readonly out: readonly Drain[];
  readonly service: Service;
  readonly problems: readonly InputProblem[];
}

function layerService(
  service: Service,
  {
    own,
    out,
    directory,
    services,
  }: {
    readonly own: readonly RegisteredEndpoint[];
    readonly out: readonly Drain[];
    readonly directory: Directory;
    readonly services: EntriesRead["services"];
  },
): Pick<Layer, "service" | "problems"> {
  const subject = `service ${service.namespace}/${service.name}`;
  const problems: InputProblem[] = [];
  const families = new Set(service.clusterIPs.map(familyOf));
  const entry = services.get(formatEntryKey({ kind: "service", namespace: service.namespace, name: service.name }));
  const targetPorts = entry === undefined ? [] : targetPortsOf(entry);
  const used = own.filter(({ address, id }) => {
    if (families.size === 0 || families.has(familyOf(address))) return true;
    const text = `Endpoint ${JSON.stringify(id)} is IPv${familyOf(address)}, but the service's ClusterIP is not`;
    problems.push({ code: "MIXED_FAMILIES", severity: "warning", subject, text });
    return false;
  });
  const ports = service.ports.map((port, index) => {
    const all = new Map(port.endpoints.map((endpoint) => [formatSocketAddress(endpoint), endpoint]));
    const names = new Map<string, string>();
    for (const registration of used) {
      const at = parsePort(targetPorts[index] ?? registration.port ?? 0);
      if (at === undefined) {
        const text = `Endpoint ${JSON.stringify(registration.id)} has no port, and port ${port.port} of the service has no \`targetPort\``;
        problems.push({ code: "NO_TARGET_PORT", severity: "warning", subject, text });
        continue;
      }
      const endpoint = directory.endpoint(registration, at);
      all.set(formatSocketAddress(endpoint), endpoint);
      names.set(formatSocketAddress(endpoint), registration.id);
    }
    const isDrained = (address: string, endpoint: Endpoint) =>
      out.some((drain) => [address, endpoint.pod, names.get(address)].includes(drain.endpoint));
    const endpoints = [...all].map(([address, endpoint]) =>
      isDrained(address, endpoint) ? { ...endpoint, ready: false, terminating: true } : endpoint,
    );
    return { ...port, endpoints };
  });
  return { service: { ...service, ports }, problems };
}

function serviceKey({ namespace, service }: { readonly namespace: string; readonly service: string }): string {
  return `${namespace}/${service}`;
}

function isSame(before: readonly object[], now: readonly object[]): boolean {
  return before.length === now.length && before.every((one, index) => one === now[index]);
}

/** Finds out which host and which pod an address is. */
class Directory {
  readonly #hosts = new Map<IpAddress, string>();
  readonly #names = new Set<string>();
  readonly #pods = new Map<IpAddress, { readonly pod: string; readonly host: string }>();
  readonly #podCIDRs: CidrIndex<Host>;

  constructor(hosts: readonly Host[]) {
    for (const host of hosts) {
      this.#names.add(host.name);
      for (const address of host.addresses) this.#hosts.set(address, host.name);
      for (const { name, addresses } of host.pods)
        for (const { address } of addresses) this.#pods.set(address, { pod: name, host: host.name });
    }
    this.#podCIDRs = new CidrIndex(hosts.flatMap((owner) => owner.podCIDRs.map((cidr) => ({ cidr, owner }))));
  }

  endpoint(registration: RegisteredEndpoint, port: Port): Endpoint {
    const { address, ready, serving, terminating, hints } = registration;
    const placed = this.#pods.get(address);
    const host =
      (registration.host !== undefined && this.#names.has(registration.host) ? registration.host : undefined) ??
      placed?.host ??
      this.#hosts.get(address) ??
      this.#podCIDRs.find(address)?.owner.name;
    return {
      ...{ address, port, ready, serving, terminating, hints },
      ...(placed === undefined ? {} : { pod: placed.pod }),
      ...(host === undefined ? {} : { host }),
    };
  }
}
