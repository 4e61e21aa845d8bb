import type { Problem } from "@svcproxy/topology";
import type { FrontendStatus, UserspaceSnapshot } from "@svcproxy/userspace";
import type { AgentStatus } from "../agent-status.ts";

/** What `/status` answers and `svcproxy userspace status` shows; it may gain members, none changes its meaning. */
export interface UserspaceStatus extends UserspaceSnapshot {
  readonly version: string;
  readonly pid: number;
  /** ISO 8601, as all times here. */
  readonly startedAt: string;
  /** Name of the host whose plan is served. */
  readonly host: string;
  readonly topology: TopologyStatus;
  /** Whether the first plan is carried out, every frontend that a userspace proxy can serve listens, and the proxy is not draining. */
  readonly ready: boolean;
  /** What is not as it should be: in the topology file, of VIPs, in the plan. Absent: an older version answers. */
  readonly problems?: readonly Problem[];
  /** How the agent stands and each port of each service. Absent: an older version answers. */
  readonly agent?: AgentStatus;
}

export interface TopologyStatus {
  readonly file: string;
  /** When the plan that is served was read. */
  readonly loadedAt: string;
  /** Set while the file has a fault and the old plan is served. */
  readonly fault?: { readonly since: string; readonly message: string };
}

/** Frontends that should listen and do not. What no userspace proxy can serve (SCTP) is said at the start and is no failure. */
export function frontendsNotReady(frontends: readonly FrontendStatus[]): readonly FrontendStatus[] {
  return frontends.filter(({ state }) => state.kind === "failed");
}

export function isReady({ state, frontends }: Pick<UserspaceSnapshot, "state" | "frontends">): boolean {
  return state === "running" && frontendsNotReady(frontends).length === 0;
}

/** Whether what a running instance answered is a status that this version can show; it may be of another version. */
export function isUserspaceStatus(value: unknown): value is UserspaceStatus {
  if (typeof value !== "object" || value === null) return false;
  const members = new Map<string, unknown>(Object.entries(value));
  return (
    ["version", "startedAt", "host", "state"].every((name) => typeof members.get(name) === "string") &&
    ["frontends", "endpoints", "workers"].every((name) => Array.isArray(members.get(name))) &&
    ["topology", "limits", "vipsNotLocal"].every((name) => typeof members.get(name) === "object")
  );
}
