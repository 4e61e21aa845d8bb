import { type Fault, InputError } from "./errors.ts";
import type { FaultReport } from "./fault-report.ts";
import { locateFaults } from "./locate-faults.ts";
import type { Topology } from "./model.ts";

/** What came out of reading, with what deserves a second look. */
export interface ParsedTopology {
  readonly topology: Topology;
  readonly warnings: readonly Fault[];
}

/**
 * Gives the topology out where nothing is wrong with it.
 *
 * @param faults those that have their place already
 * @throws InputError with all faults, warnings among them, in the order of the text
 */
export function finishReading(
  topology: Topology,
  { report, faults = [] }: { report: FaultReport; faults?: readonly Fault[] },
): ParsedTopology {
  const found = [...faults, ...locateFaults(report.faults)].sort(byPlace);
  const [first, ...others] = found;
  if (first !== undefined && found.some(({ severity }) => severity === "error"))
    throw new InputError([first, ...others]);
  return { topology, warnings: found };
}

function byPlace(a: Fault, b: Fault): number {
  if (a.at === undefined || b.at === undefined || a.at.file !== b.at.file) return 0;
  return a.at.line - b.at.line || a.at.column - b.at.column;
}
