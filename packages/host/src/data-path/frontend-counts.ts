import type { Family, IpAddress, Protocol } from "@svcproxy/topology";

/** What rules have counted of one frontend, since whatever counts was written. */
export interface FrontendCount {
  readonly family: Family;
  readonly protocol: Protocol;
  /** Undefined for a NodePort, which counts for all addresses of the host together. */
  readonly address: IpAddress | undefined;
  readonly port: number;
  /** New ones. */
  readonly connections: number;
  /** Absent where traffic is not counted. */
  readonly bytesFromClients?: number;
  readonly bytesToClients?: number;
}
