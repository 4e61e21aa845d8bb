import type { Cidr, ClientKind, IpAddress, Port } from "@svcproxy/topology";
import type { FrontendPlace } from "../proxy-status.ts";

/** One address and port to serve, as plain data: it crosses to worker processes. */
export interface FrontendSpec extends FrontendPlace {
  readonly protocol: "tcp" | "udp";
  /** What a client sticks by: one choice for all frontends of a service's port in a family. */
  readonly affinityKey: string;
  /** 0: no affinity. */
  readonly affinityTimeoutMs: number;
  /** Empty: everyone. */
  readonly sourceRanges: readonly Cidr[];
  readonly proxyProtocol?: "v1" | "v2";
  /** Endpoints are named by their keys. */
  readonly clients: Readonly<Record<ClientKind, EndpointHandling<string>>>;
}

/** What a client gets: the plan's `Handling`, with the endpoints as whoever carries it out knows them. */
export type EndpointHandling<Endpoint> =
  | { readonly kind: "forward"; readonly endpoints: readonly Endpoint[] }
  | { readonly kind: "refuse" }
  | { readonly kind: "drop" };

/** An endpoint that the plan lists, usable or not: connections to it outlive a change of the plan. */
export interface ListedEndpoint {
  /** `tcp 10.5.75.2:3000`. */
  readonly key: string;
  readonly protocol: "tcp" | "udp";
  readonly address: IpAddress;
  readonly port: Port;
  readonly pod?: string;
  /** `namespace/name` of each service that has it. */
  readonly services: readonly string[];
}

/**
 * Whether it listens. Where no kind of client gets anywhere by it nobody does, so that the kernel refuses at once; but a
 * UDP client that is owed silence has it only from a socket that takes its datagrams and says nothing.
 */
export function listens({ protocol, clients }: FrontendSpec): boolean {
  return Object.values(clients).some(({ kind }) => kind === "forward" || (kind === "drop" && protocol === "udp"));
}
