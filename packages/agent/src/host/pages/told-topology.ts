import { randomUUID } from "node:crypto";
import { applyListChange, type Host, type ListPart, listChange, type Service, type Topology } from "@svcproxy/topology";
import { serviceKey } from "../../share-unchanged.ts";

/** A topology as an agent tells it: whole, or what makes it of one that it told before. JSON. */
export interface ToldTopology extends Pick<Topology, "source" | "node"> {
  /** To be named when it is asked for again. */
  readonly id: string;
  /** Of which one it is made; absent: of an empty one. */
  readonly since?: string;
  /** Whose plan it is. */
  readonly host: string;
  readonly hosts: readonly ListPart<Host>[];
  readonly services: readonly ListPart<Service>[];
}

/** So many who ask, each with another topology, are told what is otherwise; what topologies have in common is in memory once. */
const REMEMBERED = 4;

/** Tells who asks again and again only what is otherwise: of 10,000 services the whole is megabytes. */
export class TopologyTeller {
  readonly #told = new Map<string, Topology>();

  /** @param since what was told last to who asks; where it is not known, all is told */
  tell(topology: Topology, { host, since }: { readonly host: string; readonly since: string | undefined }) {
    const before = since === undefined ? undefined : this.#told.get(since);
    const told: ToldTopology = {
      id: this.#remember(topology),
      ...(before === undefined || since === undefined ? {} : { since }),
      ...{ host, source: topology.source, node: topology.node },
      hosts: listChange(before?.hosts ?? [], topology.hosts, { keyOf: ({ name }) => name }),
      services: listChange(before?.services ?? [], topology.services, { keyOf: serviceKey }),
    };
    return told;
  }

  #remember(topology: Topology): string {
    const known = [...this.#told].find(([, told]) => told === topology)?.[0];
    const id = known ?? randomUUID();
    this.#told.delete(id);
    this.#told.set(id, topology);
    const [oldest] = this.#told.keys();
    if (this.#told.size > REMEMBERED && oldest !== undefined) this.#told.delete(oldest);
    return id;
  }
}

/** @throws RangeError where it is made of another one than `before` */
export function topologyOf({ source, node, hosts, services }: ToldTopology, before: Topology | undefined): Topology {
  return {
    ...{ source, node },
    hosts: applyListChange(before?.hosts ?? [], hosts),
    services: applyListChange(before?.services ?? [], services),
  };
}
