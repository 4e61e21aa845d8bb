import type { DataPathName, ServicePortStatus } from "@svcproxy/host";
import type { Problem } from "@svcproxy/topology";
import type { Loss } from "./removal-guard.ts";
import type { RefusedEntry } from "./source.ts";

/**
 * `starting`: the source has not told its whole state yet, nothing is touched; `following`: all is as planned; `stale`: the source gave no
 * sign of life for a minute, what it last said stays in force; `degraded`: a service is not served as planned, the source or one of its entries has a fault, a
 * change is held back, or the last plan could not be carried out, and what was in force before is kept; `stopping`: nothing changes any more.
 */
export type AgentState = "starting" | "following" | "stale" | "degraded" | "stopping";

/** How an agent stands; times are ISO 8601. */
export interface AgentStatus {
  readonly state: AgentState;
  readonly dataPath: DataPathName;
  readonly source: SourceStatus;
  /** Whose plan it is; absent before there was one. */
  readonly host?: string;
  /** When the last plan was carried out. */
  readonly appliedAt?: string;
  /** Set while the last plan could not be carried out. */
  readonly failure?: { readonly since: string; readonly problem: Problem };
  /** When what failed is tried again. */
  readonly retryAt?: string;
  /** Set while a change that takes away most of what is served waits to be confirmed. */
  readonly held?: { readonly since: string; readonly lost: Loss };
  /** Since when a plan is being made or carried out; absent: nothing is under way. */
  readonly busySince?: string;
  /** How each port of each service stands. */
  readonly ports: readonly ServicePortStatus[];
  /** What is less than well in the topology, in the plan and on the machine. */
  readonly problems: readonly Problem[];
}

export interface SourceStatus {
  readonly name: string;
  /** When the topology that is in force was read; absent before. */
  readonly readAt?: string;
  /** When it last gave a sign of life, and so since when it is stale where it is; absent: one whose silence says nothing, as a file's. */
  readonly lastHeardAt?: string;
  /** Whether balancers may send this host new connections; absent: nothing says that they should not. */
  readonly nodeEligible?: boolean;
  /** Entries whose last word is not in force: their last good state is, where there was one. Absent: none. */
  readonly refused?: readonly RefusedStatus[];
  /** How many registered endpoints are kept although the source lost them; absent: none. */
  readonly staleEndpoints?: number;
  /** Set while there is no newer state than the one in force because of these. */
  readonly fault?: { readonly since: string; readonly problems: readonly Problem[] };
}

export interface RefusedStatus extends Omit<RefusedEntry, "since"> {
  readonly since: string;
}
