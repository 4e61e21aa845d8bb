import type { DataPathName } from "@svcproxy/host";
import type { Draining, Generation } from "@svcproxy/userspace";
import type { AgentStatus } from "../agent-status.ts";
import type { ApplyTimes } from "./metrics/apply-times.ts";

/** What `/v1/status` answers and `svcproxy status --json` prints; it may gain members, none changes its meaning. */
export interface HostAgentStatus extends AgentStatus {
  readonly version: string;
  readonly pid: number;
  /** ISO 8601, as all times here. */
  readonly startedAt: string;
  /** Why no better data path was taken, a sentence each. */
  readonly passedOver: readonly string[];
  /** A better one that could be used by now; a restart takes it. */
  readonly betterDataPath?: DataPathName;
  readonly kernel: KernelStatus;
  readonly guard: GuardStatus;
  readonly applies: ApplyTimes;
  /** When it was last looked for what keeps services from their clients; what was found is among the problems. Absent: not yet. */
  readonly looked?: { readonly at: string; readonly tookMs: number };
  /** Userspace proxies that were taken over, and go on for the connections that they have, the oldest first; absent: there are none. */
  readonly generations?: readonly Generation[];
  /** Set while a userspace proxy that was told to end waits for its connections; it accepts no new ones. */
  readonly draining?: Draining;
  /** Tells plans apart; absent: none is in force. */
  readonly planDigest?: string;
}

/** How what other programs do to ours is noticed and undone. */
export interface KernelStatus {
  /** `told`: the kernel tells of each change; `looking`: it is looked at from time to time; `none`: nothing of ours is in the kernel yet. */
  readonly notice: "told" | "looking" | "none";
  /** How often it is looked at, in milliseconds; absent: the kernel tells. */
  readonly lookEveryMs?: number;
  /** How many times something was mended. */
  readonly mended: number;
  readonly lastMended?: {
    readonly at: string;
    readonly pid?: number;
    readonly program?: string;
    /** Some of what was gone or otherwise. */
    readonly what: readonly string[];
    readonly differences: number;
  };
}

/** What holds back changes that take away most of what is served. */
export interface GuardStatus {
  /** Fewer VIPs or endpoints than this may go at once; 0: any number may. */
  readonly least: number;
  /** How many changes were held back. */
  readonly heldCount: number;
}

/** Whether what an agent answered is a status that this version can show; it may be of another version. */
export function isHostAgentStatus(value: unknown): value is HostAgentStatus {
  if (typeof value !== "object" || value === null) return false;
  const members = new Map<string, unknown>(Object.entries(value));
  return (
    ["version", "startedAt", "state", "dataPath"].every((name) => typeof members.get(name) === "string") &&
    ["ports", "problems", "passedOver"].every((name) => Array.isArray(members.get(name))) &&
    ["source", "kernel", "guard"].every((name) => typeof members.get(name) === "object")
  );
}
