import { setImmediate as nextTurn } from "node:timers/promises";
import { Counter, Gauge, Histogram, type Metric, Registry } from "prom-client";
import { METRIC_FAMILIES } from "./metric-families.ts";
import type { MetricSample } from "./metric-samples.ts";
import type { StatusDocument } from "./status-document.ts";

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

const METRIC_OF_TYPE = { counter: Counter, gauge: Gauge, histogram: Histogram } as const;

/**
 * The status as Prometheus text.
 *
 * Rendered family by family with a turn of the event loop between: a scrape of many thousand frontends delays nobody for long.
 */
export async function renderMetrics(status: StatusDocument): Promise<string> {
  const parts: string[] = [];
  for (const { type, name, help, samples } of METRIC_FAMILIES) {
    const registry = new Registry();
    const metric = new METRIC_OF_TYPE[type]({ name, help, registers: [] });
    registry.registerMetric(await countedElsewhere(metric, samples(status)));
    parts.push(await registry.metrics());
    await nextTurn();
  }
  return parts.join("\n");
}

/**
 * A metric with samples that were counted elsewhere: the proxy counts in plain numbers, and setting ten thousand label
 * sets one by one would hold the event loop up at each scrape.
 */
async function countedElsewhere(metric: Metric, samples: readonly MetricSample[]): Promise<Metric> {
  const values = samples.map(({ name, labels, value }) => ({
    labels: { ...labels },
    value,
    ...(name === undefined ? {} : { metricName: name }),
  }));
  const empty = await metric.get();
  const get = async () => ({ ...empty, values });
  // The registry asks a histogram by a method of its own.
  return Object.assign(metric, { get, getForPromString: get });
}
