import type { DataPathName, ServicePortStatus } from "@svcproxy/host";
import type { Problem } from "@svcproxy/topology";

/**
 * `starting`: no plan has been carried out yet; `following`: all is as planned; `degraded`: a service is not served as planned, or the
 * last plan could not be carried out, and what was in force before is kept and tried again; `stopping`: nothing changes any more.
 */
export type AgentState = "starting" | "following" | "degraded" | "stopping";

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
  /** How each port of each service stands. */
  readonly ports: readonly ServicePortStatus[];
  /** What is less than well in the topology, in the plan and on the machine. */
  readonly problems: readonly Problem[];
}

export interface SourceStatus {
  readonly name: string;
  /** When the topology that is in force was read; absent before. */
  readonly readAt?: string;
  /** Set while there is no newer state than the one in force because of these. */
  readonly fault?: { readonly since: string; readonly problems: readonly Problem[] };
}
