import { EnvironmentError, inputError } from "@svcproxy/topology";
import type { LabProcess } from "./lab-process.ts";
import type { Place } from "./plan/lab-plan.ts";
import { startTimeOf } from "./processes.ts";

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
