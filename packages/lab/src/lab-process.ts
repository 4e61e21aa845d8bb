import { EnvironmentError, inputError } from "@svcproxy/topology";
import type { LabPlan, Place } from "./plan/lab-plan.ts";
import { startTimeOf } from "./processes.ts";

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

/**
 * The place of a lab that people call `name`.
 *
 * @throws InputError UNKNOWN_PLACE with those that are there
 */
export function findPlace({ places }: Pick<LabProcess, "places">, name: string): Place {
  const place = places.find((candidate) => candidate.name === name);
  if (place !== undefined) return place;
  throw inputError("UNKNOWN_PLACE", `The lab has no place ${JSON.stringify(name)}`, {
    hint: `Known places: ${places.map((known) => known.name).join(", ")}`,
  });
}

/** @throws EnvironmentError LAB_GONE where the lab's first process has ended */
export function requireRunning(lab: LabProcess): void {
  if (startTimeOf(lab.pid) === lab.startTime) return;
  throw new EnvironmentError("LAB_GONE", `The lab ${JSON.stringify(lab.name)} has ended`, {
    hint: "Start one: svcproxy lab up",
  });
}
