import { countStates, type ServicePortStatus } from "@svcproxy/host";
import type { Service, Topology } from "@svcproxy/topology";
import { serviceKey } from "../share-unchanged.ts";

/**
 * A topology without what the data path does not serve and says so: SCTP in userspace, a NodePort that a program of this host holds. Whoever
 * looked for its rules would find that somebody took them away.
 */
export class ServedPart {
  #last: { readonly of: Topology; readonly unserved: string; readonly part: Topology } | undefined;

  /** @returns the same object while neither the topology nor what is not served of it changes */
  of(topology: Topology, ports: readonly ServicePortStatus[]): Topology {
    if (countStates(ports)["in-force"] === ports.length) return topology;
    const list = ports.filter(({ state }) => state !== "in-force");
    const unserved = JSON.stringify(list);
    if (this.#last?.of !== topology || this.#last.unserved !== unserved)
      this.#last = { of: topology, unserved, part: withoutUnserved(topology, list) };
    return this.#last.part;
  }
}

function withoutUnserved(topology: Topology, list: readonly ServicePortStatus[]): Topology {
  const unserved = Map.groupBy(list, ({ service }) => service);
  return {
    ...topology,
    services: topology.services.flatMap((service) => {
      const gone = unserved.get(serviceKey(service));
      if (gone === undefined) return [service];
      const left = service.ports.flatMap((port) => servedPort(port, gone));
      return left.length === 0 ? [] : [{ ...service, ports: left }];
    }),
  };
}

type ServicePort = Service["ports"][number];

/** Of one whose NodePort alone is taken, the rest is served. */
function servedPort(port: ServicePort, unserved: readonly ServicePortStatus[]): readonly ServicePort[] {
  const own = unserved.filter(({ protocol, port: number }) => protocol === port.protocol && number === port.port);
  if (own.length === 0) return [port];
  if (own.some(({ problem }) => problem?.code !== "NODE_PORT_TAKEN")) return [];
  const { nodePort: _, ...rest } = port;
  return [rest];
}
