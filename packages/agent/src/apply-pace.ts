/**
 * While changes come without a break, plans are carried out at most this often: what comes in between is carried out in one, for less than one by
 * one. With 5,000 services in nftables and 50 changes a second a change costs 1.5 to 2 ms of CPU time and is met within 60 ms; where the next plan waits
 * only for as long as the last one took, it costs 1.6 times as much and is met within 30 to 60 ms.
 */
const LEAST_PERIOD_MS = 90;
/** Plans that take long to be carried out, or on a busy machine, so that they take about this part of the time, */
const SHARE = 1 / 7;
/** but as often as this where that is possible. kube-proxy waits for a second between two of its own. */
const LONGEST_PERIOD_MS = 900;
/** So many may follow one another more closely: a service and its endpoints, say, that are made one after the other. */
const BURST = 4;
/** A change that comes while the last one is carried out waits as long again as that took, at most so long. */
const LONGEST_PAUSE_MS = 100;

/** How long to wait after a plan was carried out: not at all for what comes after a quiet time, longer while change follows change. */
export class ApplyPace {
  /** How many may still follow closely, as of `#asOfMs`. */
  #left = BURST;
  #asOfMs = Number.NEGATIVE_INFINITY;
  #periodMs = LEAST_PERIOD_MS;

  /** On the clock of `performance`. Once for each plan, in their order. */
  pauseMs({ startedMs, endedMs }: { readonly startedMs: number; readonly endedMs: number }): number {
    const tookMs = Math.min(LONGEST_PAUSE_MS, endedMs - startedMs);
    this.#left = Math.min(BURST, this.#left + (startedMs - this.#asOfMs) / this.#periodMs) - 1;
    this.#asOfMs = startedMs;
    this.#periodMs = Math.min(
      LONGEST_PERIOD_MS,
      Math.max(LEAST_PERIOD_MS, (endedMs - startedMs) / SHARE - LEAST_PERIOD_MS),
    );
    const nextMs = startedMs + Math.max(0, 1 - this.#left) * this.#periodMs;
    return Math.max(tookMs, nextMs - endedMs);
  }
}
