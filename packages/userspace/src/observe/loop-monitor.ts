import { type EventLoopUtilization, monitorEventLoopDelay, performance } from "node:perf_hooks";

/** How busy one event loop was over a stretch of time. */
export interface LoopReading {
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  /** Share of the time in which the loop worked instead of waiting, 0–1. */
  readonly utilization: number;
}

/** How often the delay is sampled; coarser is cheaper, and only delays above it matter. */
const RESOLUTION_MS = 20;

/** A delay is seen late (Node counts from the second sample on), so start it early. */
export class LoopMonitor {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #since: EventLoopUtilization = performance.eventLoopUtilization();

  constructor() {
    this.#delay.enable();
  }

  /** What happened since the last call, or since the start. */
  take(): LoopReading {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#since);
    this.#since = now;
    const reading = {
      delayP50Ms: this.#delayMs(this.#delay.percentile(50)),
      delayP99Ms: this.#delayMs(this.#delay.percentile(99)),
      delayMaxMs: this.#delayMs(this.#delay.max),
      utilization: Number.isFinite(utilization) ? utilization : 0,
    };
    this.#delay.reset();
    return reading;
  }

  close(): void {
    this.#delay.disable();
  }

  /** The histogram holds the whole time between two samples, and nonsense while it has none. */
  #delayMs(nanoseconds: number): number {
    return this.#delay.count === 0 ? 0 : Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
  }
}
