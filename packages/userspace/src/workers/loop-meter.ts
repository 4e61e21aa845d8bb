import { type EventLoopUtilization, monitorEventLoopDelay, performance } from "node:perf_hooks";

export interface LoopReading {
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  /** 0–1. */
  readonly utilization: number;
}

const RESOLUTION_MS = 20;

/** How busy the event loop was between two readings. */
export class LoopMeter {
  // Started early: a block right after `enable` is not seen.
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #utilization: EventLoopUtilization = performance.eventLoopUtilization();

  constructor() {
    this.#delay.enable();
  }

  read(): LoopReading {
    const utilization = performance.eventLoopUtilization();
    const since = performance.eventLoopUtilization(utilization, this.#utilization);
    this.#utilization = utilization;
    // The histogram holds the time between two looks; the look itself is every 20 ms.
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    const reading = {
      delayP50Ms: late(this.#delay.percentile(50)),
      delayP99Ms: late(this.#delay.percentile(99)),
      delayMaxMs: late(this.#delay.max),
      utilization: since.utilization,
    };
    this.#delay.reset();
    return reading;
  }

  close(): void {
    this.#delay.disable();
  }
}
