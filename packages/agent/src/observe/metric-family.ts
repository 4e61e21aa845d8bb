export interface MetricFamily<Status> {
  readonly type: "counter" | "gauge" | "histogram" | "summary";
  readonly name: string;
  readonly help: string;
  readonly samples: (status: Status) => readonly MetricSample[];
}

export interface MetricSample {
  /** Where it differs from the family's: a histogram's `_bucket`, `_sum`, `_count`. */
  readonly name?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export type MetricLabels = MetricSample["labels"];

/** A family with one sample and no labels. */
export function single<Status>(read: (status: Status) => number): MetricFamily<Status>["samples"] {
  return (status) => [{ labels: {}, value: read(status) }];
}

/** ISO 8601 as seconds since 1970. */
export function seconds(isoTime: string): number {
  return Date.parse(isoTime) / 1000;
}
