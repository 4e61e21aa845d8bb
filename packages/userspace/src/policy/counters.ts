/** Why a TCP connection or UDP session ended. */
export type EndReason = (typeof END_REASONS)[number];

export const END_REASONS = [
  /** Both sides said FIN; for UDP: idle. */
  "done",
  "client-reset",
  "endpoint-reset",
  "idle-timeout",
  "half-closed-timeout",
  "stalled-write-timeout",
  /** No endpoint could be dialled. */
  "dial-failed",
  /** The client left during the dial. */
  "client-gone",
  /** This host's own fault while dialling: EMFILE, EADDRNOTAVAIL, ENOBUFS. */
  "local-fault",
  /** The plan has no endpoint for this kind of client. */
  "no-endpoint",
  /** Out of the source ranges, or a policy that is silence in the rules. */
  "not-allowed",
  "max-connections",
  "max-per-client",
  /** Its endpoint or frontend left the plan. */
  "removed",
  /** The proxy ends. */
  "shutdown",
  /** UDP: made room for a new session. */
  "evicted",
] as const;

export interface FrontendCounters {
  /** Accepted, whatever became of them. UDP: sessions. */
  readonly connections: number;
  readonly active: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  readonly datagramsFromClient: number;
  readonly datagramsToClient: number;
  /** UDP datagrams that were not passed on. */
  readonly datagramsDropped: number;
  readonly ended: Readonly<Record<EndReason, number>>;
}

export interface EndpointCounters {
  readonly dials: number;
  /** By the system's error code; `ETIMEDOUT` for our own timeout. */
  readonly dialFailures: Readonly<Record<string, number>>;
  /** Dials that another endpoint took over. */
  readonly retries: number;
  readonly connections: number;
  readonly active: number;
  readonly bytesToEndpoint: number;
  readonly bytesFromEndpoint: number;
  readonly dialTime: Histogram;
}

/** Upper bounds of the dial time buckets in seconds; a last one without bound follows. */
export const DIAL_TIME_BUCKETS_SECONDS = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
] as const;

export interface Histogram {
  /** One more than `DIAL_TIME_BUCKETS_SECONDS`; each counts its own bucket only (not cumulative). */
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

/** The contract's counters as a worker counts them: the same shape, writable. */
export type Mutable<T> = { -readonly [Key in keyof T]: Mutable<T[Key]> };

export type MutableFrontendCounters = Mutable<FrontendCounters>;
export type MutableEndpointCounters = Mutable<EndpointCounters>;

/** Counters of a frontend that nobody has dialled. */
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

/** Counters of an endpoint that was never dialled. */
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

/** Counts one duration in its bucket. */
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

/** Adds what another worker counted for the same endpoint. */
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
