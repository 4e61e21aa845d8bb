import { addTime, noTimes, type Times } from "../../observe/times.ts";

/** kube-proxy's: from a millisecond to 16 s, each twice the one before. */
export const APPLY_TIME_BUCKETS_SECONDS: readonly number[] = Array.from(
  { length: 15 },
  (_, power) => 2 ** power / 1000,
);

/** kube-proxy's, for what takes a whole cluster to do: half a minute is a lot, five minutes are an outage. */
export const PROGRAMMING_TIME_BUCKETS_SECONDS: readonly number[] = [
  ...steps({ from: 0.25, by: 0.25, count: 2 }),
  ...steps({ from: 1, by: 1, count: 59 }),
  ...steps({ from: 60, by: 5, count: 12 }),
  ...steps({ from: 120, by: 30, count: 7 }),
];

function steps({ from, by, count }: { from: number; by: number; count: number }): readonly number[] {
  return Array.from({ length: count }, (_, index) => from + index * by);
}

/** How long plans took to be carried out. */
export interface ApplyTimes extends Times {
  /** ISO 8601; absent: none was. */
  readonly lastAt?: string;
}

export const NO_APPLIES: ApplyTimes = noTimes(APPLY_TIME_BUCKETS_SECONDS);

/** With one more. */
export function addApply(
  times: ApplyTimes,
  { tookMs, at }: { readonly tookMs: number; readonly at: Date },
): ApplyTimes {
  return { ...addTime(times, tookMs / 1000), lastAt: at.toISOString() };
}
