import type { HostPlan, Service, ServicePort } from "@svcproxy/topology";
import { lettersAndDigits, nameDistinctly } from "../rule-parts/name-distinctly.ts";

/**
 * What ends the chain names of each service port, `1` in KUBE-SVC-1: the service's id, and behind it for every port
 * but the first that port's name or number; the protocol joins where the same number serves two.
 */
export function nameServices({ ports }: HostPlan): ReadonlyMap<ServicePort, string> {
  // A dual-stack service has the same names in both families.
  const distinct = new Map<ServicePort, Service>();
  for (const { service, port } of ports) distinct.set(port, service);
  const named = [...distinct].map(([port, service]) => ({ port, service, isFirst: port === service.ports[0] }));
  const names = nameDistinctly(named.map(wishFor), {
    identityOf: (index) => identityOf(named[index]),
    // An id that the user chose gives way to none that was made from a name.
    isFirst: (index) => named[index]?.isFirst === true && named[index].service.id !== undefined,
  });
  return new Map(named.map(({ port }, index) => [port, names[index] ?? ""]));
}

interface NamedPort {
  readonly service: Service;
  readonly port: ServicePort;
  /** Whether it is the service's first port. */
  readonly isFirst: boolean;
}

function wishFor({ service, port, isFirst }: NamedPort): string {
  const id = service.id === undefined ? lettersAndDigits(service.name) : service.id.replace(/[^A-Za-z0-9._-]/g, "");
  return isFirst || id === "" ? id : `${id}-${portLabel(service, port)}`;
}

function identityOf(named: NamedPort | undefined): string {
  if (named === undefined) return "";
  const { service, port } = named;
  return `${service.namespace}/${service.name}:${port.name} ${port.port} ${port.protocol}`;
}

function portLabel(service: Service, port: ServicePort): string {
  const label = nameOrNumber(port);
  const isShared = service.ports.some((other, index) => index > 0 && other !== port && nameOrNumber(other) === label);
  return isShared ? label + port.protocol : label;
}

function nameOrNumber(port: ServicePort): string {
  const name = port.name.replace(/[^A-Za-z0-9-]/g, "");
  return name === "" ? String(port.port) : name;
}
