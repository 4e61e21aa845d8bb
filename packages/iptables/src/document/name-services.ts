import type { HostPlan, Service, ServicePort } from "@svcproxy/topology";
import { lettersAndDigits, type NameWish, nameDistinctly } from "../rule-parts/name-distinctly.ts";

/**
 * What ends the chain names of each service port, `1` in KUBE-SVC-1: the service's id, and behind it for every port
 * but the first that port's name or number; the protocol joins where the same number serves two.
 */
export function nameServices({ ports }: HostPlan): ReadonlyMap<ServicePort, string> {
  // A dual-stack service has the same names in both families.
  const named = new Map<ServicePort, Service>();
  for (const { service, port } of ports) named.set(port, service);
  const names = nameDistinctly([...named].map(([port, service]) => wishFor(service, port)));
  return new Map([...named.keys()].map((port, index) => [port, names[index] ?? ""]));
}

function wishFor(service: Service, port: ServicePort): NameWish {
  const id = service.id === undefined ? lettersAndDigits(service.name) : service.id.replace(/[^A-Za-z0-9._-]/g, "");
  const isFirst = port === service.ports[0];
  return {
    wish: isFirst || id === "" ? id : `${id}-${portLabel(service, port)}`,
    identity: `${service.namespace}/${service.name}:${port.name} ${port.port} ${port.protocol}`,
    // An id that the user chose gives way to nobody.
    rank: service.id !== undefined && isFirst ? 0 : 1,
  };
}

function portLabel(service: Service, port: ServicePort): string {
  const label = nameOrNumber(port);
  const isShared = service.ports.slice(1).some((other) => other !== port && nameOrNumber(other) === label);
  return isShared ? label + port.protocol : label;
}

function nameOrNumber(port: ServicePort): string {
  const name = port.name.replace(/[^A-Za-z0-9-]/g, "");
  return name === "" ? String(port.port) : name;
}
