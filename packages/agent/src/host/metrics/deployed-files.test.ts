import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { renderMetrics } from "../../observe/render-metrics.ts";
import { exampleMeasuredAgent } from "../../testing/example-measured-agent.ts";
import { AGENT_METRICS } from "./agent-metrics.ts";

const DEPLOY = resolve(import.meta.dirname, "../../../../../deploy");
const FILES = ["grafana/svcproxy.json", "prometheus/svcproxy-alerts.yaml"] as const;

/** Labels that Prometheus adds to whatever it scrapes. */
const OF_PROMETHEUS = ["instance", "job"];

/** Every series of an agent to which everything has happened, as a scraper sees it, with its labels. */
async function seriesOf(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const example = exampleMeasuredAgent();
  const texts = (["nftables", "iptables", "userspace"] as const).map((dataPath) =>
    renderMetrics(AGENT_METRICS, { ...example, status: { ...example.status, dataPath } }),
  );
  const text = (await Promise.all(texts)).join("");
  const series = new Map<string, Set<string>>();
  for (const line of text.split("\n")) {
    const [, name, labels = ""] = /^(\w+)(?:\{(.*)\})? /.exec(line) ?? [];
    if (name === undefined) continue;
    const known = series.get(name) ?? new Set(OF_PROMETHEUS);
    for (const [, label] of labels.matchAll(/(\w+)="/g)) if (label !== undefined) known.add(label);
    series.set(name, known);
  }
  return series;
}

describe.for(FILES)("deploy/%s", (file) => {
  const text = readFileSync(resolve(DEPLOY, file), "utf8").replaceAll('\\"', '"');

  test("names series that the agent serves, and no other", async () => {
    const series = await seriesOf();
    const named = [...new Set(text.match(/\b(?:svcproxy|kubeproxy|process|rest_client)_\w+/g))];
    expect(named.length).toBeGreaterThan(8);
    expect(named.filter((name) => !series.has(name))).toEqual([]);
  });

  test("asks each series for labels that it has", async () => {
    const series = await seriesOf();
    const unknown = [...text.matchAll(/\b((?:svcproxy|kubeproxy|process|rest_client)_\w+)\{([^}]*)\}/g)].flatMap(
      ([, name = "", selector = ""]) =>
        [...selector.matchAll(/(\w+)\s*[=!]/g)].flatMap(([, label = ""]) =>
          series.get(name)?.has(label) ? [] : [`${name} ${label}`],
        ),
    );
    expect(unknown).toEqual([]);
  });
});

test("each alert says what is wrong and what to do, and each panel has a query", () => {
  const alerts = readFileSync(resolve(DEPLOY, FILES[1]), "utf8").split("- alert: ").slice(1);
  expect(alerts.length).toBeGreaterThan(5);
  for (const alert of alerts) for (const key of ["expr: ", "summary: ", "description: "]) expect(alert).toContain(key);
  const { panels }: { panels: readonly { type: string; targets?: readonly { expr: string }[] }[] } = JSON.parse(
    readFileSync(resolve(DEPLOY, FILES[0]), "utf8"),
  );
  for (const { type, targets = [] } of panels) if (type !== "row") expect(targets[0]?.expr).toBeTruthy();
});
