import type { ApplyReport, DataPath, Difference, FamilyCounts, ServicePortStatus } from "@svcproxy/host";
import type { HostPlan, Problem, Topology } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { ProgrammedChange } from "./awaited-changes.ts";
import type { RemovalGuard } from "./removal-guard.ts";
import type { Source, SourceEvent } from "./source.ts";
import type { ServiceManager } from "./systemd/service-manager.ts";

export interface AgentOptions {
  readonly source: Source;
  /** What it tells, where it is followed already, until whoever follows it ends that; else it is followed from the start on. */
  readonly events?: AsyncIterable<SourceEvent> | undefined;
  readonly dataPath: DataPath;
  /**
   * The plan of this host.
   *
   * @param previous the last one: what nothing changed for is taken over from it
   * @throws InputError where there can be none
   */
  readonly plan: (topology: Topology, previous: HostPlan | undefined) => HostPlan;
  readonly logger: Logger;
  /** Problems that the log has already, and that the source tells as well. */
  readonly told?: readonly Problem[] | undefined;
  readonly serviceManager: ServiceManager;
  /** What of the machine the plan hangs on, as a text: when it is another one, the plan is made anew. */
  readonly machine?: () => string;
  /** Called once the data path is open, before the first plan is carried out; what it throws ends the start. */
  readonly onOpened?: () => Promise<void>;
  /** Whether what is wrong at the start ends it, or is waited out. */
  readonly patience: "none" | "endless";
  /** What failed is tried again after a second, then after twice as long, up to this. Default 30 s. */
  readonly longestRetryMs?: number;
  /** Least time from the end of one change of the source that was dealt with to the next, in milliseconds; asked each time. Default: see `ApplyPace`. */
  readonly minSyncMs?: () => number;
  /** Asked before each plan that is carried out; absent: none is held back. */
  readonly guard?: RemovalGuard;
  /** What the machine has from before, which serves on until the first plan is carried out. Absent: nobody keeps it. */
  readonly asFound?: AsFound;
  /** Whether nothing may be changed for now: what is to be done is tried again later. Absent: it always may. */
  readonly isPaused?: () => boolean;
  /** Called after each plan that was carried out. */
  readonly onCarriedOut?: (outcome: CarriedOut) => void;
  /** Called each time that none of a plan could be carried out; `isPartial`: only services that changed were to be; `tookMs`: until it failed. */
  readonly onFailure?: (failure: { readonly isPartial: boolean; readonly tookMs: number }) => void;
}

/** What a machine had of ours before the first plan. */
export interface AsFound {
  /** From now on it is put back where somebody takes it away; twice is once. @returns whether there is anything */
  keep(): Promise<boolean>;
  /** @returns what was not as it was found, and is again */
  restore(): Promise<readonly Difference[]>;
  /** A plan has taken its place. */
  release(): void;
}

export interface CarriedOut {
  /** Whether each port of each service is served as planned. */
  readonly isWhole: boolean;
  readonly tookMs: number;
  readonly plan: HostPlan;
  /** Services (`namespace/name`) that differ from the plan before; undefined: nothing was known of what was in force. */
  readonly changed: ReadonlySet<string> | undefined;
  /** See `ApplyReport`. */
  readonly deletedUdpFlows: FamilyCounts;
  readonly settledUdpMs: ApplyReport["settledUdpMs"];
  readonly ruleCounts: ApplyReport["ruleCounts"];
  /** See `ApplyReport`. */
  readonly refusedPart: boolean;
  /** See `ApplyReport`; false where it is not told. */
  readonly continues: boolean;
  /** Changes of endpoints that are in force now, with how long each took from what caused it. */
  readonly programmed: readonly ProgrammedChange[];
  /** How each port of the plan stands. */
  readonly ports: readonly ServicePortStatus[];
}
