import type { LabPlan, Place } from "./plan/lab-plan.ts";

/** What is needed to find a running lab again; a state file holds it. */
export interface LabProcess {
  readonly name: string;
  /** The lab's first process, as the machine numbers it. Everything ends with it. */
  readonly pid: number;
  /** Its start, in clock ticks since boot. */
  readonly startTime: string;
  /** Set where the lab lives in a user namespace of an ordinary user. */
  readonly rootless: boolean;
  /** Pids, inside, of the processes that hold a host's mount and host-name namespaces, by network namespace. */
  readonly holders: Readonly<Record<string, number>>;
  readonly overlay: LabPlan["overlay"];
  readonly places: readonly Place[];
}
