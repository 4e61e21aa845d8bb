/** While changes come without a break, plans are carried out this often: what comes in between is carried out in one, for less than one by one. */
const PERIOD_MS = 75;
/** So many may follow one another more closely: a service and its endpoints, say, that are made one after the other. */
const BURST = 4;
/** A change that comes while the last one is carried out waits as long again as that took, at most so long. */
const LONGEST_PAUSE_MS = 100;

/** How long to wait after a plan was carried out: not at all for what comes after a quiet time, longer while change follows change. */
export class ApplyPace {
  /** How many may still follow closely, as of `#asOfMs`. */
  #left = BURST;
  #asOfMs = Number.NEGATIVE_INFINITY;

  /** On the clock of `performance`. Once for each plan, in their order. */
  pauseMs({ startedMs, endedMs }: { readonly startedMs: number; readonly endedMs: number }): number {
    const tookMs = Math.min(LONGEST_PAUSE_MS, endedMs - startedMs);
    this.#left = Math.min(BURST, this.#left + (startedMs - this.#asOfMs) / PERIOD_MS) - 1;
    this.#asOfMs = startedMs;
    const nextMs = startedMs + Math.max(0, 1 - this.#left) * PERIOD_MS;
    return Math.max(tookMs, nextMs - endedMs);
  }
}
