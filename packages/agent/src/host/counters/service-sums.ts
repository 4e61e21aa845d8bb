/** One counter of one frontend, since whatever counts was made. */
export interface CounterReading {
  /** Tells counters apart; the same for the same frontend in the next reading. */
  readonly key: string;
  readonly service: ServiceLabels;
  readonly connections: number;
  readonly bytesFromClients?: number | undefined;
  readonly bytesToClients?: number | undefined;
  /** Open now, where that is known. */
  readonly active?: number | undefined;
}

/** One port of one service, both families together. */
export interface ServiceLabels {
  /** `namespace/name`. */
  readonly service: string;
  /** Empty where it has none. */
  readonly portName: string;
  readonly protocol: string;
}

export interface ServiceSum extends ServiceLabels {
  readonly connections: number;
  readonly bytesFromClients?: number;
  readonly bytesToClients?: number;
  readonly active?: number;
}

const SUMMED = ["connections", "bytesFromClients", "bytesToClients"] as const;

interface Sums {
  readonly labels: ServiceLabels;
  counted: number;
  connections?: number;
  bytesFromClients?: number;
  bytesToClients?: number;
  active?: number;
}

/**
 * Sums of each service port that never go back: an element of a map that is written anew counts from 0, and the sum of several would then
 * look as if all had begun again.
 */
export class ServiceSums {
  #last = new Map<string, CounterReading>();
  readonly #sums = new Map<string, Sums>();

  /**
   * Adds what was counted since the last reading; services that are in none any more are forgotten.
   *
   * @param options.isBaseline what was counted so far is not ours to tell: whoever was told more by an agent before us would take it for new
   */
  take(readings: readonly CounterReading[], { isBaseline = false }: { readonly isBaseline?: boolean } = {}): void {
    const last = new Map<string, CounterReading>();
    const active = new Map<string, number>();
    for (const reading of readings) {
      const key = labelsKey(reading.service);
      const sums = this.#sums.get(key) ?? { labels: reading.service, counted: 0 };
      this.#sums.set(key, sums);
      if (!active.has(key)) sums.counted = 0;
      sums.counted += reading.connections;
      const before = this.#last.get(reading.key);
      for (const name of SUMMED) {
        const now = reading[name];
        if (now !== undefined) sums[name] = (sums[name] ?? 0) + (isBaseline ? 0 : growth(now, before?.[name] ?? 0));
      }
      active.set(key, (active.get(key) ?? 0) + (reading.active ?? 0));
      if (reading.active !== undefined) sums.active = active.get(key) ?? 0;
      last.set(reading.key, reading);
    }
    for (const key of this.#sums.keys()) if (!active.has(key)) this.#sums.delete(key);
    this.#last = last;
  }

  /** Connections that the counters of now tell of, those of before us included. @param key see `labelsKey` */
  countedOf(key: string): number {
    return this.#sums.get(key)?.counted ?? 0;
  }

  all(): readonly ServiceSum[] {
    return Array.from(this.#sums.values(), ({ labels, counted: _, connections = 0, ...sums }) => ({
      ...labels,
      connections,
      ...sums,
    }));
  }
}

export function labelsKey({ service, portName, protocol }: ServiceLabels): string {
  return JSON.stringify([service, portName, protocol]);
}

/** A counter that is lower than before began again. */
function growth(now: number, before: number): number {
  return now < before ? now : now - before;
}
