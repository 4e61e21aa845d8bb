import type { Family, Protocol } from "@svcproxy/topology";
import { formatDuration } from "../table/duration.ts";
import type { Collection } from "../table/nft-table.ts";
import type { TableSettings } from "./table-settings.ts";

export const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "sctp"];

/** The word for addresses of a family in rules. */
export function ipOf(family: Family): "ip" | "ip6" {
  return family === 4 ? "ip" : "ip6";
}

/** The maps and sets that a table always has; those of session affinity are `stickyCollections` and `affinityMap`. */
export function fixedCollections({ family, pods, nodePorts }: TableSettings): readonly Collection[] {
  const ip = ipOf(family);
  return [
    map("services", `${ip} daddr . meta l4proto . th dport : meta priority`, {
      counts: true,
      comment: "address . protocol . port -> group:kind; counts new connections",
    }),
    map("nodeports", "meta l4proto . th dport : meta priority", {
      counts: true,
      comment: "NodePort: protocol . port -> group:kind; counts new connections",
    }),
    map("treatments", "meta priority : verdict", {
      comment: "0:kind -> chain; a kind of 8 and more has source ranges as well",
    }),
    map("groups", "meta priority : verdict", {
      comment: "group:0 -> chain that picks one of its endpoints; a group that is not here has none",
    }),
    map("local-groups", "meta priority : meta priority", {
      comment: "group:0 -> group:0 of those of its endpoints that are on this host",
    }),
    ...PROTOCOLS.map((protocol) =>
      map(endpointsOf(protocol), `meta priority . numgen random mod 65536 : ${ip} daddr . ${protocol} dport`, {
        counts: true,
        comment: "group:0 . number from 0 -> endpoint; counts new connections",
      }),
    ),
    set("allowed", `${ip} daddr . meta l4proto . th dport . ${ip} saddr`, {
      flags: "interval",
      comment: "address . protocol . port . clients that may use it",
    }),
    set("hairpins", `${ip} saddr . ${ip} daddr`, {
      comment: "endpoint . itself, for clients that are their own endpoint",
    }),
    ...(pods.kind === "source"
      ? [set("pods", `${ip} saddr`, { flags: "interval", comment: "addresses of this host's pods" })]
      : []),
    ...(nodePorts === "listed"
      ? [set("nodeport-addresses", `${ip} daddr`, { comment: "addresses of this host that serve NodePorts" })]
      : []),
    set("cluster-ips", `${ip} daddr`, { comment: "ClusterIPs: a port that no service has there is refused" }),
    set("service-cidrs", `${ip} daddr`, {
      flags: "interval",
      comment: "blocks of ClusterIPs: an address that no service has there is dropped",
    }),
  ];
}

/** The map of a protocol's endpoints that are picked anew for each connection. */
export function endpointsOf(protocol: Protocol): string {
  return `endpoints-${protocol}`;
}

/** The map of a protocol's endpoints that clients stay with. */
export function stickyEndpointsOf(protocol: Protocol): string {
  return `sticky-endpoints-${protocol}`;
}

/** What services with session affinity need besides. */
export function stickyCollections({ family }: TableSettings): readonly Collection[] {
  return [
    map("slots", "meta priority . numgen random mod 65536 : meta priority", {
      comment: "group:0 . number from 0 -> group:slot, for groups with session affinity",
    }),
    set("usable-slots", "meta priority", { comment: "group:slot of each endpoint that clients may stay with" }),
    ...PROTOCOLS.map((protocol) =>
      map(stickyEndpointsOf(protocol), `meta priority : ${ipOf(family)} daddr . ${protocol} dport`, {
        counts: true,
        comment: "group:slot -> endpoint; counts new connections",
      }),
    ),
    set("unremembered", "meta l4proto", {
      counts: true,
      comment: "counts new connections for which an affinity map had no room",
    }),
  ];
}

/** How a client is known in an affinity map: nft 1.0.6 aborts where packets write keys of more than 16 bytes. */
export function affinityClient(family: Family): { readonly field: string; readonly typeOf: string } {
  return family === 4
    ? { field: "ip saddr", typeOf: "ip saddr" }
    : // A field that is hashed cannot be declared, so the declaration names another of its width.
      { field: "jhash ip6 saddr mod 4294967295 seed 0x5ca1ab1e", typeOf: "numgen random mod 4294967295" };
}

/** What packets write: where the clients of services with one timeout went. */
export function affinityMap(
  timeoutSeconds: number,
  { family, affinityTableSize }: Pick<TableSettings, "family" | "affinityTableSize">,
): Collection {
  const client = family === 4 ? "client" : "hash of client";
  return map(affinityMapOf(timeoutSeconds), `meta priority . ${affinityClient(family).typeOf} : meta priority`, {
    flags: "dynamic,timeout",
    size: affinityTableSize,
    timeoutSeconds,
    comment: `group:0 . ${client} -> group:slot; forgotten after ${formatDuration(timeoutSeconds)} without a new connection`,
  });
}

export function affinityMapOf(timeoutSeconds: number): string {
  return `affinity-${timeoutSeconds}`;
}

/** Whether packets, not we, write the elements of a collection. */
export function isWrittenByPackets(collection: string): boolean {
  return collection.startsWith("affinity-");
}

type Rest = Omit<Collection, "kind" | "name" | "typeOf" | "counts"> & { readonly counts?: boolean };

function map(name: string, typeOf: string, { counts = false, ...rest }: Rest): Collection {
  return { kind: "map", name, typeOf, counts, ...rest };
}

/** The declaration of a set. */
export function set(name: string, typeOf: string, rest: Rest): Collection {
  return { ...map(name, typeOf, rest), kind: "set" };
}
