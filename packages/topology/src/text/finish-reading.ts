import { type Fault, InputError, type SourcePlace } from "../errors.ts";
import type { Topology } from "../model.ts";
import type { FaultReport, PathFault } from "./fault-report.ts";
import { locateFaults } from "./locate-faults.ts";

/** What came out of reading, with what deserves a second look. */
export interface ParsedTopology {
  readonly topology: Topology;
  readonly warnings: readonly Fault[];
}

/** Input that was loaded, and cannot be read as what it is. */
export class UnreadableInput extends InputError {
  /** The same faults by their places in the data, without those that had a place in the text before. */
  readonly pathFaults: readonly PathFault[];

  constructor(faults: readonly [Fault, ...Fault[]], pathFaults: readonly PathFault[]) {
    super(faults);
    this.pathFaults = pathFaults;
  }
}

/**
 * The warnings, where nothing worse was found.
 *
 * @param faults those that have their place already
 * @throws UnreadableInput with all faults, warnings among them, in the order of the text
 */
export function finishReading(report: FaultReport, faults: readonly Fault[] = []): readonly Fault[] {
  const found = [...inOrder(eachOnce([...faults, ...locateFaults(report.faults)])), ...leftOut(report)];
  const [first, ...others] = found;
  if (first !== undefined && found.some(({ severity }) => severity === "error"))
    throw new UnreadableInput([first, ...others], report.faults);
  return found;
}

function leftOut({ leftOut: fault }: FaultReport): readonly Fault[] {
  return fault === undefined ? [] : [fault];
}

/** Where aliases bring the same text to several places, what is wrong with it is said once. */
function eachOnce(faults: readonly Fault[]): readonly Fault[] {
  const said = new Set<string>();
  return faults.filter(({ at, code, message }) => {
    const key = JSON.stringify([at, code, message]);
    return at === undefined || (!said.has(key) && said.add(key));
  });
}

/** Source by source, as they come up; within a file from top to bottom. */
function inOrder(faults: readonly Fault[]): readonly Fault[] {
  const sources = new Map<string, number>();
  for (const { at } of faults)
    if (at !== undefined && !sources.has(sourceOf(at))) sources.set(sourceOf(at), sources.size);
  const placeOf = ({ at }: Fault) => {
    if (at === undefined) return [-1, 0, 0];
    const source = sources.get(sourceOf(at)) ?? 0;
    return [source, at.line ?? 0, at.column ?? 0];
  };
  return faults
    .map((fault) => ({ fault, place: placeOf(fault) }))
    .sort(({ place: a }, { place: b }) => {
      const differing = a.findIndex((part, index) => part !== b[index]);
      return (a[differing] ?? 0) - (b[differing] ?? 0);
    })
    .map(({ fault }) => fault);
}

function sourceOf(place: SourcePlace): string {
  return "object" in place ? place.object : place.file;
}
