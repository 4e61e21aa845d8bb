import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";

/** Half of the young heap that an agent gets: a list with an entry for each of thousands of services, made with each change, dies in it. */
const YOUNG_BYTES = 2 << 20;
/** It grows while much of what is in it stays; after so many lists it would not. */
const MOST_LISTS = 400;

/**
 * Lets this process' heap grow in small steps: an agent lives for months on a host that is there for others. With 5,000 services in a
 * directory that saves 100 MiB of 270, for a tenth more CPU time (packages/cli/bench/agent.ts); to optimize all for size would double it.
 *
 * To be called before there is much on it.
 */
export function keepHeapSmall(): void {
  growYoungHeap();
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--heap-growing-percent=30");
  // Of a megabyte each helper's share is less than it takes to wake it.
  setFlagsFromString("--no-parallel-scavenge");
}

/** Once, from the megabyte that it begins with: V8 would go on to grow it to sixteen times as much, and has no bound that could be set by now. */
function growYoungHeap(): void {
  setFlagsFromString("--semi-space-growth-factor=2");
  const kept: unknown[] = [];
  for (let list = 0; list < MOST_LISTS && youngBytes() < YOUNG_BYTES * 0.9; list++) {
    kept.push(Array<number>(1_000).fill(list));
    if (kept.length > 50) kept.shift();
  }
}

function youngBytes(): number {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space");
  return young === undefined ? Number.POSITIVE_INFINITY : young.space_used_size + young.space_available_size;
}
