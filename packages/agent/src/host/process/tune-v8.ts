import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Lets this process' heap grow in small steps: an agent lives for months on a host that is there for others. With 5,000 services in a
 * directory that saves 75 MiB of 267 for a tenth more CPU time at most (packages/cli/bench/agent.ts); to
 * optimize all for size would double it.
 *
 * To be called before there is much on it.
 */
export function keepHeapSmall(): void {
  letYoungHeapGrow(false);
  setFlagsFromString("--heap-growing-percent=30");
  // Of a megabyte each helper's share is less than it takes to wake it.
  setFlagsFromString("--no-parallel-scavenge");
}

/** That V8's flags take. */
const MOST_MS = 2 ** 31 - 1_000;

/** In bytes. A plan of 5,000 services makes a megabyte of garbage: in less than this, much of it would be taken for what stays. */
const YOUNG_HEAP_BYTES = 8 * 1024 * 1024;

/**
 * Lets the young heap grow where V8 has made it smaller than an agent under load needs, as it does while little happens, and no further: by itself it
 * would become sixteen megabytes in each of its halves. With 50 changes a second of 5,000 services this saves a quarter of the CPU time.
 *
 * To be called after each plan that was carried out: it takes some microseconds.
 */
export function fitYoungHeap(): void {
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === "new_space");
  letYoungHeapGrow(young !== undefined && young.space_size < YOUNG_HEAP_BYTES);
}

function letYoungHeapGrow(mayGrow: boolean): void {
  setFlagsFromString(`--semi-space-growth-factor=${mayGrow ? 2 : 1}`);
}

/**
 * From now on V8's best compiler is left out, and the second-best compiles what runs often: where thousands of functions run for some
 * milliseconds each at a change, the best one's own work costs more than it saves. With 5,000 services in nftables an agent starts with an eighth less
 * CPU time, holds 10 MiB less, and changes cost no more (packages/cli/bench/agent.ts).
 *
 * Not for a process that carries bytes.
 */
export function compileLess(): void {
  setFlagsFromString("--no-turbofan");
  // Four hundred calls are over before a compiled function has paid for itself: half of what is compiled is not after this.
  setFlagsFromString("--invocation-count-for-maglev=2000");
}

/**
 * From now on garbage may grow to half of what is held before V8 collects it, not to a third: for whoever holds little more than the topology and its
 * plan. With 5,000 services that is 10 MiB at most, for a twentieth of the CPU time of 50 changes a second.
 */
export function collectLessOften(): void {
  setFlagsFromString("--heap-growing-percent=50");
}

/**
 * Has V8 collect all garbage now, and give the pages back. After its start an agent holds what it read and compared rules with, tens of megabytes, and
 * on a quiet host nothing would make V8 look for it. It takes a tenth of a second or two with 5,000 services; the plain collection frees as
 * much, and keeps most of the pages. V8's own look for garbage of a quiet process, half a minute after its start, finds nothing any more, for
 * as much CPU time: it comes some weeks later from now on.
 */
export function collectGarbage(): void {
  // Not by the number of its looks: V8 ends a process that has begun more of them than there may be.
  setFlagsFromString(`--memory-reducer-delay-ms=${MOST_MS}`);
  setFlagsFromString(`--gc-memory-reducer-start-delay-ms=${MOST_MS}`);
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect({ type: "major", flavor: "last-resort" });
}
