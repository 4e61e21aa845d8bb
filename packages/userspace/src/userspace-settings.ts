import type { Machine } from "@svcproxy/host";
import type { Cidr } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { AccessRecord } from "./access-record.ts";
import type { InstanceOptions } from "./instance/instance-options.ts";
import type { ProxyOptions } from "./proxy-options.ts";
import type { ProxySurroundings } from "./service-proxy.ts";

export interface UserspaceSettings {
  readonly proxy: ProxyOptions;
  readonly instance: InstanceOptions;
  /** Where VIPs are put; undefined: nowhere. */
  readonly vipDevice: string | undefined;
  readonly vipRanges: readonly Cidr[];
  /** Whether VIPs lead to the services' ports alone: where this host can do it, or else the start ends, or not at all. */
  readonly vipIsolation: "auto" | "required" | "off";
  /** A frontend that cannot be served with the first plan ends it all. */
  readonly requireAll: boolean;
}

export interface UserspaceSurroundings {
  readonly logger: Logger;
  readonly machine: Machine;
  readonly onConnectionEnd?: (record: AccessRecord) => void;
  /** See `ProxySurroundings`. */
  readonly workerProgram?: NonNullable<ProxySurroundings["workerProgram"]>;
  /** What `queryInstance` gets: any JSON value. */
  readonly status: () => Promise<unknown>;
  /** A successor serves in the place of this instance: `stop`, with time for the connections that are left. */
  readonly onTakenOver: (successorPid: number) => void;
  /** See `InstanceService`. */
  readonly reload?: () => Promise<void>;
}
