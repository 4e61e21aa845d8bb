import { closeSync, openSync } from "node:fs";
import { outOfDescriptors } from "../tools/system-error.ts";

/** Starting a tool takes up to ten for a moment: two for each of its streams, and some by which its start is watched. */
const SPARE_DESCRIPTORS = 16;

/**
 * File descriptors that are kept open for nothing, so that a tool that must not fail for want of one can be started: `lend`
 * closes them, and the start takes their place in the same turn of the event loop, before anybody else can.
 *
 * Neither a process (RLIMIT_NPROC, pids.max of the cgroup) nor memory can be kept in reserve like this.
 */
export class DescriptorReserve implements Disposable {
  readonly #spare: number[] = [];

  /** @throws EnvironmentError OUT_OF_DESCRIPTORS where there are too few left */
  constructor() {
    try {
      while (this.#spare.length < SPARE_DESCRIPTORS) this.#spare.push(openSync("/", "r"));
    } catch (error) {
      this.lend();
      throw outOfDescriptors(`Cannot keep ${SPARE_DESCRIPTORS} file descriptors in reserve`, error) ?? error;
    }
  }

  /** Closes them, so that what is started in the same turn of the event loop has descriptors. */
  lend(): void {
    for (const fd of this.#spare.splice(0)) closeSync(fd);
  }

  /** Takes back as many as there are. */
  refill(): void {
    try {
      while (this.#spare.length < SPARE_DESCRIPTORS) this.#spare.push(openSync("/", "r"));
    } catch {
      // Somebody else has them by now: what there is will have to do.
    }
  }

  [Symbol.dispose](): void {
    this.lend();
  }
}
