import type { Machine } from "@svcproxy/host";
import type { Cidr, HostPlan } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { AccessRecord, InstanceOptions, ProxyOptions, ProxySurroundings } from "../contract.ts";

export interface DaemonOptions {
  readonly version: string;
  readonly proxy: ProxyOptions;
  readonly instance: InstanceOptions & { readonly takeOver: boolean };
  /** Where VIPs are put; undefined: nowhere. */
  readonly vipDevice?: string;
  readonly vipRanges: readonly Cidr[];
  /** A frontend that cannot be served at the start ends it all. */
  readonly requireAll: boolean;
  /** Where metrics are served; absent: nowhere. */
  readonly metrics?: { readonly address: string; readonly port: number };
  /** The topology's name, for people. */
  readonly topology: string;
  /** Files and folders to follow; empty: none. */
  readonly watch: readonly string[];
}

export interface DaemonSurroundings {
  readonly logger: Logger;
  readonly machine: Machine;
  /**
   * Reads the topology and plans for this host; called at the start and for each change.
   * @throws InputError with every fault of it
   */
  loadPlan(): Promise<HostPlan>;
  readonly onConnectionEnd?: (record: AccessRecord) => void;
  /** See `ProxySurroundings`. */
  readonly workerProgram?: NonNullable<ProxySurroundings["workerProgram"]>;
}
