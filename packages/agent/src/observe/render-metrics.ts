import { setImmediate as nextTurn } from "node:timers/promises";
import type { MetricFamily, MetricSample } from "./metric-family.ts";

export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Samples that are rendered in one turn of the event loop: a scrape of many thousand frontends delays nobody for long. */
const SAMPLES_AT_ONCE = 1_000;

/**
 * A status as Prometheus text. Not by prom-client, which counts itself: what is counted here, for each connection, are plain numbers, and a
 * histogram that was counted elsewhere cannot be given to it.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
export async function renderMetrics<Status>(
  families: readonly MetricFamily<Status>[],
  status: Status,
): Promise<string> {
  const parts: string[] = [];
  for (const { type, name, help, samples } of families) {
    parts.push(`# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`);
    const all = samples(status);
    for (let first = 0; first < all.length; first += SAMPLES_AT_ONCE) {
      for (const sample of all.slice(first, first + SAMPLES_AT_ONCE)) parts.push(renderSample(name, sample));
      await nextTurn();
    }
    parts.push("\n");
  }
  return parts.join("");
}

function renderSample(family: string, { name = family, labels, value }: MetricSample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(String(text))}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${renderValue(value)}\n`;
}

function renderValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return /[\\"\n]/.test(text) ? escapeHelp(text).replaceAll('"', '\\"') : text;
}
