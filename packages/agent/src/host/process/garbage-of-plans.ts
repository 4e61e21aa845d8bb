import process from "node:process";
import { QuietTime } from "@svcproxy/host";
import { collectGarbage, fitYoungHeap } from "./tune-v8.ts";

/** Garbage is collected once nothing was carried out for so long: longer than data paths wait before they tidy up, */
const QUIET_MS = 2_000;
/** and so many plans were carried out since it was collected last, which have left some megabytes, */
const ENOUGH_PLANS = 100;
/** or fewer, or a look at all that is in the kernel, left so much. */
const ENOUGH_BYTES = 16 * 1024 * 1024;

export interface GarbageOptions {
  /** False for a process that carries connections, which is not stopped for it. */
  readonly collects: boolean;
  /** For tests. */
  readonly collect?: () => void;
  /** What this process holds, in bytes; for tests. */
  readonly readMemory?: () => number;
}

/** Keeps the heap fit for carrying out plan after plan, and gives back what they took once that is over. */
export class GarbageOfPlans implements Disposable {
  readonly #options: Required<GarbageOptions>;
  /** Carried out since it was collected last; the first leaves more than others. */
  #planCount = ENOUGH_PLANS;
  /** What was held when it had been collected last. */
  #leftBytes = 0;
  readonly #quiet = new QuietTime({ delayMs: QUIET_MS, work: () => this.#collect() });

  constructor({ collects, collect = collectGarbage, readMemory = () => process.memoryUsage.rss() }: GarbageOptions) {
    this.#options = { collects, collect, readMemory };
  }

  /** To be called after each plan. */
  planCarriedOut(): void {
    fitYoungHeap();
    this.#planCount++;
    this.#restart();
  }

  /** To be called after each look at all that is in the kernel. */
  looked(): void {
    this.#restart();
  }

  #restart(): void {
    if (this.#options.collects) this.#quiet.restart();
  }

  #collect(): void {
    const { collect, readMemory } = this.#options;
    if (this.#planCount <= ENOUGH_PLANS && readMemory() < this.#leftBytes + ENOUGH_BYTES) return;
    collect();
    this.#planCount = 0;
    this.#leftBytes = readMemory();
  }

  [Symbol.dispose](): void {
    this.#quiet.stop();
  }
}
