import type { Family, HostPlan, Problem, Protocol } from "@svcproxy/topology";
import type { Census } from "./census.ts";
import type { ChangeNotice } from "./change-notice.ts";
import type { Difference } from "./difference.ts";
import type { FamilyCounts } from "./family-counts.ts";
import type { Preserved } from "./preserved.ts";

export type DataPathName = "iptables" | "nftables" | "userspace";

/** One way to carry out a HostPlan on this machine: in its network namespace, as the user who runs it. */
export interface DataPath {
  readonly name: DataPathName;
  /** What this data path cannot do of the plan, whatever the machine. */
  limitations(plan: HostPlan): readonly Problem[];
  /** How what the machine has differs from the plan, by meaning; changes nothing. */
  compare(plan: HostPlan, options: { readonly signal: AbortSignal }): Promise<PlanDifference>;
  /** Removes whatever this data path ever put on the machine, and nobody else's; needs no plan. Twice is once. */
  cleanup(options: { readonly signal: AbortSignal }): Promise<CleanupReport>;
  /** What the machine has of ours, whoever put it there; what ends with a process is not counted. Changes nothing. */
  census(options: { readonly signal: AbortSignal }): Promise<Census>;
  /**
   * All that the machine has of ours, whoever put it there, to be given back where another program takes it away. Changes nothing. Absent: what is
   * ours ends with its process.
   *
   * @returns undefined: it has nothing
   * @throws EnvironmentError
   */
  preserve?(options: { readonly signal: AbortSignal }): Promise<Preserved | undefined>;
  /**
   * Begins to keep the machine. Nothing changes before the first `apply`.
   *
   * @param signal ends waiting and what can be interrupted; a session is ended by disposing of it, which leaves the promise in place
   * @throws EnvironmentError where the machine cannot carry out any plan
   */
  open(signal: AbortSignal): Promise<DataPathSession>;
}

/** Knows what it wrote, so that a small change costs little. Calls are made one after the other. */
export interface DataPathSession extends AsyncDisposable {
  /** How it is noticed that another program changes what is ours; absent: none can. */
  readonly foreignChanges?: ChangeNotice;
  /**
   * What is ours answers for some days more, so that it does not stand in the way for ever once nobody keeps it. Absent: it needs no such thing.
   *
   * @throws EnvironmentError
   */
  renewLease?(): Promise<void>;
  /**
   * Makes the machine keep the plan; twice is once. One service that cannot be carried out does not hold up the others: its ports
   * are `refused` or `failed` in the status, the report tells of them, the machine keeps what it had of them, and each apply tries
   * them again, whatever it says of what changed.
   *
   * @throws EnvironmentError where nothing of the plan could be carried out; then the machine and the status are as they were
   */
  apply(plan: HostPlan, options?: ApplyOptions): Promise<ApplyReport>;
  /** One for each port of each service and family of the plan that was applied last, in its order. */
  status(): readonly ServicePortStatus[];
  /** How often what earlier changes left over could not be removed afterwards. Absent: this data path leaves nothing over. */
  cleanupFailureCount?(): number;
}

export interface ApplyOptions {
  /**
   * Services (`namespace/name`) whose part of the plan differs from the last one that was applied: only theirs is compared and
   * written. Where it is left out, or where another program changed what is ours, everything is read and compared.
   */
  readonly changed?: ReadonlySet<string>;
}

export interface ApplyReport {
  /** Whether the machine had to be changed. */
  readonly changed: boolean;
  /** What is less than well although the plan is carried out, the services that are not among it as errors. */
  readonly problems: readonly Problem[];
  /** UDP flows that the kernel was made to forget, because they went where no new one would. Absent: none. */
  readonly deletedUdpFlows?: FamilyCounts;
  /** How long it took to look for such flows, in milliseconds. Absent: nobody had to. */
  readonly settledUdpMs?: number;
  /**
   * Whether the machine did not take what was to be written of the services that were said to have changed, so that everything was looked at,
   * or one after the other was tried. Absent: it took it, or no services were named.
   */
  readonly refusedPart?: true;
  /** Whether there was something of ours before, which may have counted connections; told where everything was looked at. */
  readonly continues?: boolean;
  /** How many rules are ours, counted when somebody asks. Absent: this data path has none that grow with the services. */
  readonly ruleCounts?: () => readonly RuleCount[];
  /** What told the machine from the plan, where everything was looked at. It takes a comparison. */
  readonly found?: () => readonly Difference[];
}

/** Rules in one table of one family. */
export interface RuleCount {
  readonly family: Family;
  readonly table: string;
  readonly total: number;
  /** Those of them that the apply wrote. */
  readonly written: number;
}

export interface PlanDifference {
  /** None: the machine keeps the plan. */
  readonly differences: readonly Difference[];
  /** What could not be looked at, and what would keep the plan from working. */
  readonly problems: readonly Problem[];
}

export interface CleanupReport {
  /** What was removed, in the data path's own words; empty: there was nothing. */
  readonly removed: readonly string[];
  readonly problems: readonly Problem[];
}

/** How one port of a service stands in one family. */
export interface ServicePortStatus {
  /** `namespace/name`. */
  readonly service: string;
  /** Empty where it has none. */
  readonly portName: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly family: Family;
  /** `in-force`: as planned; `refused`: this data path cannot do it; `failed`: the machine did not take it, the last good state stays. */
  readonly state: "in-force" | "refused" | "failed";
  /** Why not; always there unless `in-force`. */
  readonly problem?: Problem;
  /** Since when the state is this one. */
  readonly since: Date;
}
