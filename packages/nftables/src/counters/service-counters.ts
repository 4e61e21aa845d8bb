import type { Family } from "@svcproxy/topology";
import { endpointsOf, PROTOCOLS, stickyEndpointsOf } from "../compile/collections.ts";
import { isExternalLocal } from "../compile/wanted-port.ts";
import { classid, parseClassid } from "../table/classid.ts";
import { entryOf } from "../table/entry-of.ts";
import { type Counter, parseTable } from "../table/parse-table.ts";

/** What a table has counted of one port of a service, since its elements were written. */
export interface PortCounters {
  readonly family: Family;
  /** As its elements say: `default/web`, with the port's name behind a blank where it has one. */
  readonly service: string;
  readonly frontends: readonly FrontendCounters[];
  /** Each once. One that took the place of another in its service counts from then on. */
  readonly endpoints: readonly EndpointCounters[];
}

export interface FrontendCounters {
  /** Absent for a NodePort, which counts for all addresses of the host together. */
  readonly address?: string;
  readonly protocol: string;
  readonly port: number;
  /** New ones: those that were refused or dropped are among them. */
  readonly connections: number;
  /** Only where traffic is counted. */
  readonly fromClients?: Counter;
  readonly toClients?: Counter;
}

export interface EndpointCounters {
  readonly address: string;
  readonly port: number;
  readonly connections: number;
}

export interface TableCounters {
  readonly ports: readonly PortCounters[];
  /** New connections that no map of session affinity had room for. */
  readonly unremembered: number;
}

/** Reads the counters out of what `nft list table` prints of our table. */
export function parseCounters(text: string, family: Family): TableCounters {
  const counted = new Map<string, Map<string, Counter>>();
  const { elements } = parseTable(text, family, {
    onCounter: ({ collection, key }, counter) =>
      entryOf(counted, collection, () => new Map<string, Counter>()).set(key, counter),
  });
  const connections = (collection: string, key: string) => counted.get(collection)?.get(key)?.packets ?? 0;
  const endpoints = endpointsByGroup(elements, connections);
  const ports = new Map<string, { frontends: FrontendCounters[]; groups: Set<number> }>();
  for (const collection of ["services", "nodeports"]) {
    const prefix = collection === "nodeports" ? "nodeport-" : "";
    for (const [key, { data, comment }] of elements.get(collection) ?? []) {
      const { high: group = 0, low: kind = 0 } = parseClassid(data) ?? {};
      const port = entryOf(ports, comment, () => ({ frontends: [], groups: new Set<number>() }));
      const fromClients = counted.get(`${prefix}requests`)?.get(key);
      const toClients = counted.get(`${prefix}replies`)?.get(key);
      port.frontends.push({
        ...frontendOf(key),
        connections: connections(collection, key),
        ...(fromClients === undefined ? {} : { fromClients }),
        ...(toClients === undefined ? {} : { toClients }),
      });
      port.groups.add(group);
      const local = parseClassid(elements.get("local-groups")?.get(classid(group, 0))?.data ?? "")?.high;
      if (isExternalLocal(kind) && local !== undefined) port.groups.add(local);
    }
  }
  const unremembered = [...(counted.get("unremembered")?.values() ?? [])].reduce(
    (sum, { packets }) => sum + packets,
    0,
  );
  return {
    ports: Array.from(ports, ([service, { frontends, groups }]) => ({
      family,
      service,
      frontends,
      endpoints: sumByEndpoint([...groups].flatMap((group) => endpoints.get(group) ?? [])),
    })).sort((a, b) => (a.service < b.service ? -1 : a.service > b.service ? 1 : 0)),
    unremembered,
  };
}

/** Reads `10.0.0.1 . tcp . 80`, or `tcp . 30080`. */
function frontendOf(key: string): Pick<FrontendCounters, "address" | "protocol" | "port"> {
  const parts = key.split(" . ");
  const [protocol = "", port = ""] = parts.slice(-2);
  const [address] = parts.slice(0, -2);
  return { ...(address === undefined ? {} : { address }), protocol, port: Number(port) };
}

function endpointsByGroup(
  elements: ReturnType<typeof parseTable>["elements"],
  connections: (collection: string, key: string) => number,
): ReadonlyMap<number, readonly EndpointCounters[]> {
  const found = new Map<number, EndpointCounters[]>();
  for (const collection of PROTOCOLS.flatMap((protocol) => [endpointsOf(protocol), stickyEndpointsOf(protocol)])) {
    for (const [key, { data }] of elements.get(collection) ?? []) {
      const group = parseClassid(key.split(" ")[0] ?? "")?.high ?? 0;
      const [address = "", port = ""] = data.split(" . ");
      entryOf(found, group, () => []).push({ address, port: Number(port), connections: connections(collection, key) });
    }
  }
  return found;
}

/** An endpoint that is in the groups of both policies is one. */
function sumByEndpoint(endpoints: readonly EndpointCounters[]): readonly EndpointCounters[] {
  const sums = new Map<string, EndpointCounters>();
  for (const endpoint of endpoints) {
    const key = `${endpoint.address} ${endpoint.port}`;
    const connections = (sums.get(key)?.connections ?? 0) + endpoint.connections;
    sums.set(key, { ...endpoint, connections });
  }
  return [...sums.values()];
}
