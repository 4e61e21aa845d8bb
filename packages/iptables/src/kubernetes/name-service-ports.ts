import type { HostPlan, ServicePort, ServicePortPlan } from "@svcproxy/topology";
import { hashName } from "../rule-parts/hash-name.ts";

/** Characters of a hash in a chain name: 80 bits. */
export const HASH_LENGTH = 16;

/** How kube-proxy calls a service port. */
export interface ServicePortName {
  /** `namespace/name:port`, or `namespace/name` where the port has no name. */
  readonly text: string;
  /** Ends the names of the service port's chains. */
  readonly hash: string;
}

/**
 * Names every port of a plan; a dual-stack service has the same names in both families.
 *
 * Kubernetes gives every port of a service a name of its own. A topology file need not, so a second port of the same
 * name and protocol is called by its number.
 */
export function nameServicePorts({ ports }: HostPlan): (port: ServicePortPlan) => ServicePortName {
  const names = new Map<ServicePort, ServicePortName>();
  const taken = new Set<string>();
  for (const { service, port } of ports) {
    if (names.has(port)) continue;
    const base = `${service.namespace}/${service.name}`;
    const named = port.name === "" ? base : `${base}:${port.name}`;
    const text = taken.has(named + port.protocol) ? `${named}:${port.port}` : named;
    taken.add(text + port.protocol);
    names.set(port, { text, hash: hashName(text + port.protocol, HASH_LENGTH) });
  }
  return ({ port }) => {
    const name = names.get(port);
    if (name === undefined) throw new TypeError(`port ${port.port} is not in the plan`);
    return name;
  };
}
