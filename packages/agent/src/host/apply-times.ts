/** kube-proxy's: from a millisecond to 16 s, each twice the one before. */
export const APPLY_TIME_BUCKETS_SECONDS: readonly number[] = Array.from(
  { length: 15 },
  (_, power) => 2 ** power / 1000,
);

/** How long plans took to be carried out. */
export interface ApplyTimes {
  /** For each bucket, how many took no longer. */
  readonly withinBucket: readonly number[];
  readonly count: number;
  readonly sumSeconds: number;
  /** ISO 8601; absent: none was. */
  readonly lastAt?: string;
}

export const NO_APPLIES: ApplyTimes = {
  withinBucket: APPLY_TIME_BUCKETS_SECONDS.map(() => 0),
  count: 0,
  sumSeconds: 0,
};

/** With one more. */
export function addApply(
  times: ApplyTimes,
  { tookMs, at }: { readonly tookMs: number; readonly at: Date },
): ApplyTimes {
  const seconds = tookMs / 1000;
  return {
    withinBucket: times.withinBucket.map(
      (count, index) => count + (seconds <= (APPLY_TIME_BUCKETS_SECONDS[index] ?? 0) ? 1 : 0),
    ),
    count: times.count + 1,
    sumSeconds: times.sumSeconds + seconds,
    lastAt: at.toISOString(),
  };
}
