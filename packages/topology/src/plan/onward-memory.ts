import type { IpAddress } from "../address.ts";
import type { Service, ServicePort, Topology } from "../model.ts";
import {
  candidatesOf,
  frontendAddresses,
  indexFrontends,
  nodePortPlaces,
  onwardAmong,
  vipsOf,
} from "./find-onward-endpoints.ts";
import type { HostPlan, OnwardEndpoint } from "./host-plan.ts";
import { keyOf, type ServiceDifference } from "./service-difference.ts";

type Own = Pick<HostPlan, "host" | "nodePortAddresses">;
type Onward = ReadonlyMap<ServicePort, readonly OnwardEndpoint[]>;

/** Finds endpoints that are frontends themselves; where there were none, a change is judged by what it brings. */
export class OnwardMemory {
  #places: ReadonlySet<IpAddress> = new Set();
  /** All that some frontend has, and perhaps more. */
  #addresses = new Set<IpAddress>();
  #frontendAt: ReturnType<typeof indexFrontends> | undefined;
  #leadsOn = true;

  /** @param difference from the topology of the last call; undefined: not known */
  find(topology: Topology, own: Own, difference: ServiceDifference | undefined): Onward {
    const places = nodePortPlaces(topology, own);
    const isSame = places.size === this.#places.size && [...places].every((address) => this.#places.has(address));
    const isKnown = difference !== undefined && !this.#leadsOn && isSame;
    this.#places = places;
    if (isKnown && !this.#mayLead(topology, difference)) return NOWHERE;
    this.#addresses = frontendAddresses(topology.services, places);
    this.#frontendAt = undefined;
    const onward = onwardAmong(topology, { places, addresses: this.#addresses });
    this.#leadsOn = onward.size > 0;
    return onward;
  }

  #mayLead({ services }: Topology, { gone, come }: ServiceDifference): boolean {
    const before = new Map(gone.map((service) => [keyOf(service), service]));
    const otherwise = come.filter((service) => frontendsOf(service) !== frontendsOf(before.get(keyOf(service))));
    if (otherwise.length > 0 || gone.length > come.length) this.#frontendAt = undefined;
    const reached = new Set(otherwise.flatMap((service) => this.#reach(service)));
    for (const address of reached) this.#addresses.add(address);
    if (reached.size > 0 && services.some((service) => candidatesOf(service, reached).length > 0)) return true;
    const candidates = come.flatMap((service) => candidatesOf(service, this.#addresses));
    if (candidates.length === 0) return false;
    this.#frontendAt ??= indexFrontends(services, this.#places);
    const frontendAt = this.#frontendAt;
    return candidates.some(({ port, endpoint }) => frontendAt(port, endpoint) !== undefined);
  }

  #reach(service: Service): readonly IpAddress[] {
    const hasNodePort = service.ports.some(({ nodePort }) => nodePort !== undefined);
    return hasNodePort ? [...vipsOf(service), ...this.#places] : vipsOf(service);
  }
}

const NOWHERE: Onward = new Map();

/** All that says where a service is reached; it differs where another service may be reached there now. */
function frontendsOf(service: Service | undefined): string {
  if (service === undefined) return "";
  const ports = service.ports.map(({ protocol, port, nodePort, takenAt }) => [protocol, port, nodePort, takenAt]);
  return JSON.stringify([vipsOf(service), ports]);
}
