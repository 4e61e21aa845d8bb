/** How long something took, each time that it was done: what a histogram tells. */
export interface Times {
  /** Upper bounds, in seconds, the least first. */
  readonly buckets: readonly number[];
  /** For each bucket, how many took no longer. */
  readonly withinBucket: readonly number[];
  readonly count: number;
  readonly sumSeconds: number;
}

export function noTimes(buckets: readonly number[]): Times {
  return { buckets, withinBucket: buckets.map(() => 0), count: 0, sumSeconds: 0 };
}

/** With one more. */
export function addTime(times: Times, seconds: number): Times {
  const { buckets, withinBucket, count, sumSeconds } = times;
  return {
    buckets,
    withinBucket: withinBucket.map((within, index) => within + (seconds <= (buckets[index] ?? 0) ? 1 : 0)),
    count: count + 1,
    sumSeconds: sumSeconds + seconds,
  };
}
