import { type Family, familyOf, type IpAddress, type Port, type Protocol, parsePort } from "./address.ts";
import { inputError } from "./errors.ts";
import type { Host, Service, ServicePort, Topology } from "./model.ts";
import { nearestWord } from "./nearest-word.ts";
import { quote } from "./visible.ts";

/** Who sends a packet or whom it dials, found by a name of the topology. */
export interface NamedEnd {
  /** What it is, as people call it: `pod os1_my1`, `service default/web`, `host web1`. */
  readonly called: string;
  /** At least one; the first of a family is the one that is meant. */
  readonly addresses: readonly IpAddress[];
  readonly port?: Port;
  /** Where the port that was found has only this one. */
  readonly protocol?: Protocol;
}

type Kind = "service" | "pod" | "host";

interface Named {
  readonly kind: Kind;
  /** Whole: with the namespace where it has one. */
  readonly name: string;
  readonly addresses: readonly IpAddress[];
  /** A pod's own. */
  readonly port?: Port;
  readonly service?: Service;
}

/**
 * Who a name says sends a packet: a pod, else a host; `NAME:PORT` says the source port too.
 *
 * @param text a name as the topology has it; the namespace may be left out where only one has such a pod
 * @throws InputError UNKNOWN_NAME, AMBIGUOUS_NAME, PORT_OUT_OF_RANGE
 */
export function findSender(topology: Topology, text: string): NamedEnd {
  const { named, rest } = findNamed(topology, { text, end: "from", kinds: ["pod", "host"] });
  return { ...describe(named), ...(rest === undefined ? {} : { port: readPort("from", { text, port: rest }) }) };
}

/**
 * Whom a name says a packet dials: a service, else a pod, else a host. `NAME:PORT`, where a service's port may be its name; without
 * a port, the only one of a service or a pod's own.
 *
 * @param options.protocol the packet's, where it was said: a port of a service is one of this protocol
 * @throws InputError UNKNOWN_NAME, AMBIGUOUS_NAME, NO_CLUSTER_IP, PORT_REQUIRED, PORT_OUT_OF_RANGE
 */
export function findDialled(topology: Topology, text: string, { protocol }: { protocol?: string } = {}): NamedEnd {
  const { named, rest } = findNamed(topology, { text, end: "to", kinds: ["service", "pod", "host"] });
  const end = describe(named);
  if (named.service === undefined) {
    const port = rest === undefined ? named.port : readPort("to", { text, port: rest });
    return port === undefined ? end : { ...end, port };
  }
  if (named.addresses.length === 0) {
    throw inputError("NO_CLUSTER_IP", `Cannot dial ${end.called}: it has no ClusterIP`, {
      hint: "Name one of its pods, or write an address of it",
    });
  }
  return { ...end, ...portOf(named.service, { text, wanted: rest, protocol }) };
}

/** The addresses with which one end can reach the other: those of the first family that both have. */
export function joinEnds(
  from: NamedEnd,
  to: NamedEnd,
): { readonly from: IpAddress; readonly to: IpAddress; readonly family: Family } {
  for (const dialled of to.addresses) {
    const family = familyOf(dialled);
    const sender = from.addresses.find((address) => familyOf(address) === family);
    if (sender !== undefined) return { from: sender, to: dialled, family };
  }
  const families = ({ addresses }: NamedEnd) => [...new Set(addresses.map((address) => `IPv${familyOf(address)}`))];
  throw inputError(
    "MIXED_FAMILIES",
    `Cannot trace from ${from.called} to ${to.called}: one has ${families(from).join(" and ")} only, the other ${families(to).join(" and ")}`,
  );
}

function describe({ kind, name, addresses }: Named): NamedEnd {
  return { called: `${kind} ${name}`, addresses };
}

interface Question {
  readonly text: string;
  readonly end: "from" | "to";
  /** Whose name it may be; the first that has it is meant. */
  readonly kinds: readonly Kind[];
}

interface FoundName {
  readonly named: Named;
  /** What stands behind the last colon, where the name ends before it. */
  readonly rest?: string;
}

function findNamed(topology: Topology, question: Question): FoundName {
  const { text, end, kinds } = question;
  const colon = text.lastIndexOf(":");
  // A name of a topology file may have a colon in it.
  const readings: readonly { readonly name: string; readonly rest?: string }[] = [
    { name: text },
    ...(colon < 0 ? [] : [{ name: text.slice(0, colon), rest: text.slice(colon + 1) }]),
  ];
  for (const { name, rest } of readings) {
    for (const kind of kinds) {
      const [found, ...others] = namesakes(topology, { kind, name });
      if (found === undefined) continue;
      if (others.length > 0) throw ambiguous(question, [found, ...others]);
      return { named: found, ...(rest === undefined ? {} : { rest }) };
    }
  }
  const { name = text } = readings.at(-1) ?? {};
  const isService = end === "from" && namesakes(topology, { kind: "service", name }).length > 0;
  const near = isService ? undefined : nearestName(topology, { name, kinds });
  throw inputError(
    "UNKNOWN_NAME",
    isService
      ? `Cannot trace a packet with from ${quote(text)}: a service sends none`
      : `Cannot trace a packet with ${end} ${quote(text)}: the topology has no ${kinds.join(", ").replace(/, (\w+)$/, " or $1")} ${quote(name)}`,
    { hint: near === undefined ? hintFor(end) : `Did you mean ${quote(near)}?` },
  );
}

function hintFor(end: "from" | "to"): string {
  return end === "from"
    ? "Write a pod or host of the topology, or an address as 10.5.75.2"
    : "Write a service, pod or host of the topology with a port, as service1:7070, or an address as 10.100.100.1:7070 or [fd00::1]:7070";
}

function ambiguous({ text, end }: Question, found: readonly Named[]): Error {
  const shown = found.slice(0, MAX_LISTED).map(({ name }) => name);
  const more = found.length > shown.length ? `, and ${found.length - shown.length} more` : "";
  return inputError(
    "AMBIGUOUS_NAME",
    `Cannot trace a packet with ${end} ${quote(text)}: several have that name: ${shown.join(", ")}${more}`,
    { hint: `Write it with its namespace, as ${shown[0]}` },
  );
}

const MAX_LISTED = 10;

function namesakes(topology: Topology, { kind, name }: { readonly kind: Kind; readonly name: string }): Named[] {
  const all = [...everyName(topology, kind)];
  const exact = all.filter((named) => named.name === name);
  return exact.length > 0 || name.includes("/") ? exact : all.filter((named) => named.name.endsWith(`/${name}`));
}

function* everyName({ hosts, services }: Topology, kind: Kind): Generator<Named> {
  switch (kind) {
    case "service":
      for (const service of services) {
        yield { kind, name: `${service.namespace}/${service.name}`, addresses: service.clusterIPs, service };
      }
      return;
    case "host":
      for (const { name, addresses } of hosts) yield { kind, name, addresses };
      return;
    case "pod":
      yield* pods({ hosts, services });
  }
}

/** Those of the hosts, and those that only an endpoint tells of: Kubernetes objects may come without their Nodes. */
function* pods({ hosts, services }: { hosts: readonly Host[]; services: readonly Service[] }): Generator<Named> {
  const known = new Set<string>();
  for (const { pods } of hosts) {
    for (const { name, addresses } of pods) {
      known.add(name);
      const ports = [...new Set(addresses.map(({ port }) => port))];
      const [port] = ports;
      yield {
        ...{ kind: "pod", name, addresses: addresses.map(({ address }) => address) },
        ...(ports.length === 1 && port !== undefined ? { port } : {}),
      };
    }
  }
  const others = new Map<string, Set<IpAddress>>();
  for (const { address, pod } of services.flatMap(({ ports }) => ports.flatMap(({ endpoints }) => endpoints))) {
    if (pod === undefined || known.has(pod)) continue;
    others.set(pod, (others.get(pod) ?? new Set()).add(address));
  }
  for (const [name, addresses] of others) yield { kind: "pod", name, addresses: [...addresses] };
}

function nearestName(
  topology: Topology,
  { name, kinds }: { readonly name: string; readonly kinds: readonly Kind[] },
): string | undefined {
  const names = kinds.flatMap((kind) => [...everyName(topology, kind)].map((named) => named.name));
  return nearestWord(name, name.includes("/") ? names : names.map((whole) => whole.replace(/^.*\//, "")));
}

function readPort(end: "from" | "to", { text, port }: { readonly text: string; readonly port: string }): Port {
  const number = /^\d+$/.test(port) ? parsePort(Number(port)) : undefined;
  if (number !== undefined) return number;
  throw inputError("PORT_OUT_OF_RANGE", `Cannot trace a packet with ${end} ${quote(text)}: ${quote(port)} is no port`, {
    hint: "Write a number from 1 to 65535; only ports of services have names",
  });
}

interface WantedPort {
  readonly text: string;
  /** A number or a name; undefined where none was said. */
  readonly wanted: string | undefined;
  readonly protocol: string | undefined;
}

/** A number that the service does not have is kept: a trace says what becomes of it. */
function portOf(
  service: Service,
  { text, wanted, protocol }: WantedPort,
): { readonly port: Port; readonly protocol?: Protocol } {
  const of = service.ports.filter((port) => protocol === undefined || port.protocol === protocol);
  const isNumber = wanted !== undefined && /^\d+$/.test(wanted);
  const number = isNumber ? readPort("to", { text, port: wanted }) : undefined;
  const named = of.filter(({ name }) => wanted !== undefined && name === wanted);
  const found = named.length > 0 ? named : isNumber ? of.filter(({ port }) => port === number) : [];
  // What says no protocol is TCP.
  const meant = found.find((port) => port.protocol === "tcp") ?? found[0];
  if (meant !== undefined) return { port: meant.port, protocol: meant.protocol };
  if (number !== undefined) return { port: number };
  const [only] = of;
  if (wanted === undefined && only !== undefined && of.length === 1)
    return { port: only.port, protocol: only.protocol };
  const called = `service ${service.namespace}/${service.name}`;
  if (wanted === undefined) {
    throw inputError("PORT_REQUIRED", `Cannot trace a packet with to ${quote(text)}: the port is missing`, {
      hint: listPorts(called, service.ports),
    });
  }
  const near = nearestWord(
    wanted,
    of.map(({ name }) => name).filter((name) => name !== ""),
  );
  throw inputError(
    "UNKNOWN_NAME",
    `Cannot trace a packet with to ${quote(text)}: ${called} has no port ${quote(wanted)}${protocol === undefined ? "" : ` of protocol ${protocol}`}`,
    { hint: near === undefined ? listPorts(called, service.ports) : `Did you mean ${quote(near)}?` },
  );
}

function listPorts(called: string, ports: readonly ServicePort[]): string {
  const shown = ports.slice(0, MAX_LISTED).map(({ name, port, protocol }) => {
    return `${name === "" ? "" : `${name} `}${port}/${protocol}`;
  });
  const more = ports.length > shown.length ? `, and ${ports.length - shown.length} more` : "";
  return ports.length === 0 ? `${called} has no port` : `Ports of ${called}: ${shown.join(", ")}${more}`;
}
