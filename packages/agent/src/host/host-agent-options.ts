import type { DataPathName, FoundKubeProxy } from "@svcproxy/host";
import type { HostPlan, Problem, Topology } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { Source } from "../source.ts";
import type { Address } from "./pages/agent-servers.ts";

export interface HostAgentOptions {
  readonly version: string;
  readonly source: Source;
  readonly dataPath: DataPathName | "auto";
  /** See `ChooseOptions`. */
  readonly takePorts: ReadonlySet<number>;
  /** See `AgentOptions`. */
  readonly plan: (topology: Topology, previous: HostPlan | undefined) => HostPlan;
  /** Changes that take away more than half, and at least so many, of all VIPs or endpoints wait to be confirmed; 0: none does. */
  readonly guardLeast: number;
  /** Where probes and scrapers are answered; undefined: nowhere. */
  readonly healthAddress: Address | undefined;
  readonly metricsAddress: Address | undefined;
  /** See `AgentOptions`. */
  readonly minSyncMs?: () => number;
  /** Whether a port that another program has is waited for, instead of ending the start. */
  readonly waitsForPorts?: boolean;
  /** Whether the place of a kube-proxy that runs here is taken; else it keeps us from starting. */
  readonly replacesKubeProxy?: boolean;
  /** Whether the place of an agent that runs here is taken, once all of a plan is served. */
  readonly takesOver?: boolean;
  /** The program, with its arguments, that takes over from this one; absent: none can. */
  readonly successorProgram?: readonly [string, ...string[]];
  /** The program, with its arguments, that looks at this host as `lookByProgram` says; absent: nobody looks. */
  readonly findingsProgram?: readonly [string, ...string[]];
  /** Called once a plan was carried out for the first time, as far as this host takes it. */
  readonly onServing?: () => Promise<void>;
  /** Called before anything changes where a kube-proxy serves this host; default: that ends the start. */
  readonly onKubeProxy?: (found: FoundKubeProxy) => Promise<void>;
  /** Number of the group that may use the socket besides this user. */
  readonly socketGroup: number | undefined;
  /** Whether what is ours is taken away at the end. */
  readonly cleansUpOnExit: boolean;
  /** So many service ports have metrics of their own at most; 0: none has. */
  readonly serviceSeries: number;
  /** Whether nftables counts packets and bytes of each service. */
  readonly countsTraffic: boolean;
  /** See `UserspaceSurroundings`. */
  readonly workerProgram: readonly [string, ...string[]];
  readonly logger: Logger;
  /** See `AgentOptions`. */
  readonly told?: readonly Problem[];
}
