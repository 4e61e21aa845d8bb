import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { renderMetrics } from "../../observe/render-metrics.ts";
import { exampleMeasuredAgent } from "../../testing/example-measured-agent.ts";
import { USERSPACE_METRICS } from "../../userspace/userspace-metrics.ts";
import { AGENT_METRICS } from "./agent-metrics.ts";

const DOCUMENT = resolve(import.meta.dirname, "../../../../../docs/metrics.md");

/** What kube-proxy 1.37 registers with Prometheus, in whatever mode, of its own subsystem. */
const OF_KUBE_PROXY = [
  "conntrack_reconciler_deleted_entries_total",
  "conntrack_reconciler_sync_duration_seconds",
  "iptables_ct_state_invalid_dropped_packets_total",
  "iptables_localhost_nodeports_accepted_packets_total",
  "network_programming_duration_seconds",
  "nftables_localhost_nodeport_listener_creation_failures_total",
  "nftables_localhost_nodeport_listeners",
  "nftables_localhost_nodeport_rejected_packets_total",
  "proxy_healthz_total",
  "proxy_livez_total",
  "sync_full_proxy_rules_duration_seconds",
  "sync_partial_proxy_rules_duration_seconds",
  "sync_proxy_rules_duration_seconds",
  "sync_proxy_rules_endpoint_changes_pending",
  "sync_proxy_rules_endpoint_changes_total",
  "sync_proxy_rules_iptables_last",
  "sync_proxy_rules_iptables_partial_restore_failures_total",
  "sync_proxy_rules_iptables_restore_failures_total",
  "sync_proxy_rules_iptables_total",
  "sync_proxy_rules_last_queued_timestamp_seconds",
  "sync_proxy_rules_last_timestamp_seconds",
  "sync_proxy_rules_nftables_cleanup_failures_total",
  "sync_proxy_rules_nftables_sync_failures_total",
  "sync_proxy_rules_no_local_endpoints_total",
  "sync_proxy_rules_service_changes_pending",
  "sync_proxy_rules_service_changes_total",
  "sync_proxy_rules_winkernel_lb_create_failures_total",
  "sync_proxy_rules_winkernel_lb_delete_failures_total",
  "sync_proxy_rules_winkernel_lb_update_failures_total",
].map((name) => `kubeproxy_${name}`);

/** Metrics that the tables of a chapter name. */
function namedIn(chapter: string): readonly string[] {
  const [, text = ""] = readFileSync(DOCUMENT, "utf8").split(`\n## ${chapter}\n`);
  return [...(text.split("\n## ")[0] ?? "").matchAll(/^\| `(\w+)` \|/gm)].map(([, name = ""]) => name);
}

const served = AGENT_METRICS.map(({ name }) => name);
const isOfPrograms = (name: string) => /^(?:process|rest_client)_/.test(name);
const isKubeProxys = (name: string) => name.startsWith("kubeproxy_");

test("each metric has a name of its own, and is in docs/metrics.md; nothing else is", () => {
  expect(new Set(served).size).toBe(served.length);
  expect([...namedIn("Under kube-proxy's names")].sort()).toEqual(served.filter(isKubeProxys).sort());
  expect([...namedIn("As programs of Kubernetes have them")].sort()).toEqual(served.filter(isOfPrograms).sort());
  expect([...namedIn("Its own")].sort()).toEqual(served.filter((name) => name.startsWith("svcproxy_")).sort());
  expect(served.filter((name) => !/^(?:kubeproxy|process|rest_client|svcproxy)_/.test(name))).toEqual([]);
});

test("of kube-proxy's metrics each is served, or it is said why not", () => {
  const told = [...served.filter(isKubeProxys), ...namedIn("Of kube-proxy's, not served")];
  expect(told.sort()).toEqual(OF_KUBE_PROXY.toSorted());
});

/** kube-proxy's own, which are gauges. */
const GAUGES_WITH_TOTAL = [
  "kubeproxy_sync_proxy_rules_iptables_total",
  "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
];

test("names, units and types are as Prometheus wants them, but where kube-proxy has it otherwise", () => {
  for (const { name, type, help } of [...AGENT_METRICS, ...USERSPACE_METRICS]) {
    expect(name).toMatch(/^[a-z]+(?:_[a-z]+)+$/);
    expect(help).toMatch(/\S/);
    if (!GAUGES_WITH_TOTAL.includes(name)) expect([name, name.endsWith("_total")]).toEqual([name, type === "counter"]);
    expect(name).not.toMatch(/_(?:ms|milliseconds|minutes|kilobytes|kb|mb)(?:_|$)/);
    expect(name).not.toMatch(/_(?:bucket|sum|count)$/);
    if (type === "histogram") expect(name).toMatch(/_seconds$/);
  }
});

test.for(["nftables", "iptables", "userspace"] as const)(
  "the text is whole and says nothing twice: %s",
  async (dataPath) => {
    const example = exampleMeasuredAgent();
    const status = { ...example.status, dataPath };
    const lines = (await renderMetrics(AGENT_METRICS, { ...example, status }))
      .split("\n")
      .filter((line) => line !== "");
    const series = lines.filter((line) => !line.startsWith("#"));
    for (const line of series) expect(line).toMatch(/^\w+(?:\{(?:\w+="[^"\n]*",?)+\})? (?:-?[\d.e+-]+|\+Inf|NaN)$/);
    const names = series.map((line) => line.slice(0, line.lastIndexOf(" ")));
    expect(new Set(names).size).toBe(names.length);
    expect(lines.filter((line) => line.startsWith("# TYPE ")).length).toBe(AGENT_METRICS.length);
  },
);
