import { hashName } from "@svcproxy/host";
import type { HostPlan, ServicePort, ServicePortPlan } from "@svcproxy/topology";

/** Characters of a hash in a chain name: 80 bits. */
export const HASH_LENGTH = 16;

/** How kube-proxy calls a service port. */
export interface ServicePortName {
  /** `namespace/name:port`, or `namespace/name` where the port has no name. */
  readonly text: string;
  /** Ends the names of the service port's chains. */
  readonly hash: string;
}

/** A hash takes longer than all else of a name, and most ports keep theirs from one plan to the next. */
const known = new WeakMap<ServicePort, ServicePortName>();

/**
 * Names every port of a plan; a dual-stack service has the same names in both families.
 *
 * Kubernetes gives every port of a service a name of its own. A topology file need not, so another port of the same name
 * and protocol is called by its number too, after all ports that can be called as Kubernetes does.
 */
export function nameServicePorts({ ports }: HostPlan): (port: ServicePortPlan) => ServicePortName {
  const names = new Map<ServicePort, ServicePortName>();
  const taken = new Set<string>();
  const take = (port: ServicePort, text: string): boolean => {
    const hashed = text + port.protocol;
    if (taken.has(hashed)) return false;
    taken.add(hashed);
    const before = known.get(port);
    const name = before?.text === text ? before : { text, hash: hashName(hashed, HASH_LENGTH) };
    known.set(port, name);
    names.set(port, name);
    return true;
  };
  const others: ServicePortPlan[] = [];
  for (const plan of ports) {
    if (!names.has(plan.port) && !take(plan.port, ownName(plan))) others.push(plan);
  }
  for (const plan of others) {
    if (names.has(plan.port)) continue;
    let text = `${ownName(plan)}:${plan.port.port}`;
    while (!take(plan.port, text)) text += `:${plan.port.port}`;
  }
  return ({ port }) => {
    const name = names.get(port);
    if (name === undefined) throw new TypeError(`port ${port.port} is not in the plan`);
    return name;
  };
}

function ownName({ service, port }: ServicePortPlan): string {
  const owner = `${service.namespace}/${service.name}`;
  return port.name === "" ? owner : `${owner}:${port.name}`;
}
