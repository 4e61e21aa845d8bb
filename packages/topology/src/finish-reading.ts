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
 * The warnings, where nothing worse was found.
 *
 * @param faults those that have their place already
 * @throws InputError with all faults, warnings among them, in the order of the text
 */
export function finishReading(report: FaultReport, faults: readonly Fault[] = []): readonly Fault[] {
  const found = inOrder([...faults, ...locateFaults(report.faults)]);
  const [first, ...others] = found;
  if (first !== undefined && found.some(({ severity }) => severity === "error"))
    throw new InputError([first, ...others]);
  return found;
}

/** File by file, as the files come up; within a file from top to bottom. */
function inOrder(faults: readonly Fault[]): readonly Fault[] {
  const files = new Map<string, number>();
  for (const { at } of faults) if (at !== undefined && !files.has(at.file)) files.set(at.file, files.size);
  const placeOf = ({ at }: Fault) => (at === undefined ? [-1, 0, 0] : [files.get(at.file) ?? 0, at.line, at.column]);
  return faults
    .map((fault) => ({ fault, place: placeOf(fault) }))
    .sort(({ place: a }, { place: b }) => {
      const differing = a.findIndex((part, index) => part !== b[index]);
      return (a[differing] ?? 0) - (b[differing] ?? 0);
    })
    .map(({ fault }) => fault);
}
