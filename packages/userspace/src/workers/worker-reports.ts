import type { AccessRecord } from "../access-record.ts";
import type { FrontendCounters } from "../policy/counters.ts";
import type { EndpointStatus, FrontendPlace } from "../proxy-status.ts";
import type { LoopReading } from "./loop-meter.ts";

/** What a worker tells; it crosses process borders. */
export interface WorkerReports {
  /** Dials that failed; the caller limits the rate. */
  dialFailed(report: DialFailureReport): void;
  /** A connection or session was turned away by a limit; at most once in 10 s for each limit. */
  overLimit(report: OverLimitReport): void;
  /** A UDP frontend has only endpoints that refuse; perhaps more than once. */
  refused(frontend: string): void;
  /** Something of ours went wrong and was passed over. */
  fault(error: unknown): void;
  /** Absent where nobody reads it. */
  readonly ended?: (record: AccessRecord) => void;
}

export interface DialFailureReport {
  readonly frontend: string;
  readonly service: string;
  readonly endpoint: string;
  readonly code: string;
  readonly local: boolean;
}

export interface OverLimitReport {
  readonly frontend: string;
  readonly service: string;
  /** `max-connections` is also the limit that open files set. */
  readonly limit: "max-connections" | "max-per-client";
}

export interface WorkerReading {
  readonly pid: number;
  readonly connections: number;
  readonly udpSessions: number;
  readonly residentBytes: number;
  readonly loop: LoopReading;
  readonly openFiles: number;
  /** TCP connections that fit into the descriptors. */
  readonly connectionLimit: number;
  readonly frontends: readonly FrontendReading[];
  readonly endpoints: readonly EndpointStatus[];
}

/** A reading crosses process borders in parts, so that none takes long to write or to read. */
export type ReadingPart =
  | { readonly kind: "facts"; readonly facts: Omit<WorkerReading, "frontends" | "endpoints"> }
  | { readonly kind: "frontends"; readonly frontends: readonly FrontendReading[] }
  | { readonly kind: "endpoints"; readonly endpoints: readonly EndpointStatus[] };

export interface FrontendReading {
  readonly key: string;
  readonly counters: FrontendCounters;
  /** Set where it has left the plan and has connections. */
  readonly left?: FrontendPlace;
}
