import type { HandedListener } from "../service-proxy.ts";
import type { WorkerChange, WorkerReading } from "./worker.ts";

/** The processes that carry connections; this one alone, or several that share every TCP frontend. */
export interface WorkerGroup {
  apply(change: WorkerChange): void;
  /** The group owns the handle from here on. @throws an error with a system error `code` */
  listen(listener: HandedListener): Promise<void>;
  unlisten(key: string): void;
  setDown(keys: ReadonlySet<string>): void;
  /** Resolves when all workers have done what they were told. */
  settle(): Promise<void>;
  read(): Promise<GroupReadings>;
  /** Stops accepting; resolves when the last connection has ended. */
  drain(): Promise<void>;
  /** Resets what is left. */
  close(): Promise<void>;
}

export interface GroupReadings {
  readonly workers: readonly GroupReading[];
  /** What workers that are no more had counted. */
  readonly retired: readonly RetiredReading[];
}

export type RetiredReading = Pick<WorkerReading, "frontends" | "endpoints">;

export interface GroupReading extends WorkerReading {
  readonly index: number;
  readonly state: "running" | "starting";
  readonly restarts: number;
}
