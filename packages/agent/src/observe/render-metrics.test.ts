import { expect, test } from "vitest";
import type { MetricFamily } from "./metric-family.ts";
import { renderMetrics } from "./render-metrics.ts";

const FAMILIES: readonly MetricFamily<readonly number[]>[] = [
  {
    type: "counter",
    name: "a_total",
    help: "One\nline \\ and more.",
    samples: (values) => values.map((value) => ({ labels: {}, value })),
  },
  {
    type: "gauge",
    name: "b",
    help: "B.",
    samples: () => [
      { labels: { name: 'quoted "x"\n\\', port: 80 }, value: Number.POSITIVE_INFINITY },
      { name: "b_sum", labels: {}, value: -0.5 },
    ],
  },
];

test("each family has help and type, samples have their labels, and nothing breaks out of its place", async () => {
  expect(await renderMetrics(FAMILIES, [1, Number.NaN])).toBe(`\
# HELP a_total One\\nline \\\\ and more.
# TYPE a_total counter
a_total 1
a_total NaN

# HELP b B.
# TYPE b gauge
b{name="quoted \\"x\\"\\n\\\\",port="80"} +Inf
b_sum -0.5

`);
});

test("many samples are rendered in turns, so that nobody waits for long", async () => {
  let turns = 0;
  let isRendered = false;
  const count = () => {
    turns++;
    if (!isRendered) setImmediate(count);
  };
  setImmediate(count);
  const values = Array.from({ length: 200_000 }, (_, index) => index);
  const text = await renderMetrics(FAMILIES, values);
  isRendered = true;
  expect(text.split("\na_total ")).toHaveLength(200_001);
  expect(turns).toBeGreaterThan(190);
});
