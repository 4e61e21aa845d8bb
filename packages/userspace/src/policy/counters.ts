import {
  DIAL_TIME_BUCKETS_SECONDS,
  END_REASONS,
  type EndpointCounters,
  type EndReason,
  type FrontendCounters,
  type Histogram,
} from "../contract.ts";

/** The contract's counters as a worker counts them: the same shape, writable. */
export type Mutable<T> = { -readonly [Key in keyof T]: Mutable<T[Key]> };

export type MutableFrontendCounters = Mutable<FrontendCounters>;
export type MutableEndpointCounters = Mutable<EndpointCounters>;

export function newFrontendCounters(): MutableFrontendCounters {
  return {
    connections: 0,
    active: 0,
    bytesFromClient: 0,
    bytesToClient: 0,
    datagramsFromClient: 0,
    datagramsToClient: 0,
    datagramsDropped: 0,
    ended: newEndings(),
  };
}

function newEndings(): Record<EndReason, number> {
  return {
    done: 0,
    "client-reset": 0,
    "endpoint-reset": 0,
    "idle-timeout": 0,
    "half-closed-timeout": 0,
    "stalled-write-timeout": 0,
    "dial-failed": 0,
    "client-gone": 0,
    "local-fault": 0,
    "no-endpoint": 0,
    "not-allowed": 0,
    "max-connections": 0,
    "max-per-client": 0,
    removed: 0,
    shutdown: 0,
    evicted: 0,
  };
}

export function newEndpointCounters(): MutableEndpointCounters {
  return {
    dials: 0,
    dialFailures: {},
    retries: 0,
    connections: 0,
    active: 0,
    bytesToEndpoint: 0,
    bytesFromEndpoint: 0,
    dialTime: newHistogram(),
  };
}

function newHistogram(): Mutable<Histogram> {
  return { counts: Array<number>(DIAL_TIME_BUCKETS_SECONDS.length + 1).fill(0), sumSeconds: 0 };
}

export function observe(histogram: Mutable<Histogram>, seconds: number): void {
  let bucket = 0;
  for (const bound of DIAL_TIME_BUCKETS_SECONDS) {
    if (seconds <= bound) break;
    bucket++;
  }
  histogram.counts[bucket] = (histogram.counts[bucket] ?? 0) + 1;
  histogram.sumSeconds += seconds;
}

/** Adds what another worker counted for the same frontend. */
export function addFrontendCounters(sum: MutableFrontendCounters, more: FrontendCounters): void {
  sum.connections += more.connections;
  sum.active += more.active;
  sum.bytesFromClient += more.bytesFromClient;
  sum.bytesToClient += more.bytesToClient;
  sum.datagramsFromClient += more.datagramsFromClient;
  sum.datagramsToClient += more.datagramsToClient;
  sum.datagramsDropped += more.datagramsDropped;
  for (const reason of END_REASONS) sum.ended[reason] += more.ended[reason];
}

export function addEndpointCounters(sum: MutableEndpointCounters, more: EndpointCounters): void {
  sum.dials += more.dials;
  sum.retries += more.retries;
  sum.connections += more.connections;
  sum.active += more.active;
  sum.bytesToEndpoint += more.bytesToEndpoint;
  sum.bytesFromEndpoint += more.bytesFromEndpoint;
  sum.dialTime.sumSeconds += more.dialTime.sumSeconds;
  more.dialTime.counts.forEach((count, bucket) => {
    sum.dialTime.counts[bucket] = (sum.dialTime.counts[bucket] ?? 0) + count;
  });
  for (const [code, count] of Object.entries(more.dialFailures)) {
    sum.dialFailures[code] = (sum.dialFailures[code] ?? 0) + count;
  }
}
