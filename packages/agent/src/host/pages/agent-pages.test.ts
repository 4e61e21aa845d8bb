import { mkdtemp, rm, stat } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EnvironmentError, exampleTopology } from "@svcproxy/topology";
import { expect, onTestFinished, test } from "vitest";
import { type PagePlace, servePages } from "../../observe/page-server.ts";
import { exampleHostAgentStatus } from "../../testing/example-host-agent-status.ts";
import { exampleMeasuredWork } from "../../testing/example-measured-agent.ts";
import type { HostAgentStatus } from "../host-agent-status.ts";
import { AgentPages } from "./agent-pages.ts";

const NO_SERVICES = { ...exampleTopology().topology, ...{ id: "1", host: "one", hosts: [], services: [] } };
const COUNTERS = {
  services: [{ service: "default/web", portName: "", protocol: "TCP" as const, connections: 3 }],
  leftOut: 0,
  readAt: new Date("2026-01-01T00:00:05.000Z"),
};
async function served(
  which: "health" | "metrics" | "socket",
  status: Partial<HostAgentStatus> = {},
  example: HostAgentStatus = exampleHostAgentStatus(),
) {
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-pages-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  let held: string | undefined = "a change";
  const pages = new AgentPages({
    findings: async () => {},
    status: () => ({ ...example, ...status }),
    confirm: async () => {
      const confirmed = held;
      held = undefined;
      return confirmed;
    },
    tellServices: () => [],
    services: async () => ({ services: undefined, plan: undefined }),
    work: async () => exampleMeasuredWork(),
    counters: async () => COUNTERS,
    tellTopology: (since) => (since === undefined ? undefined : { ...NO_SERVICES, since }),
    rules: async () => {
      throw new EnvironmentError("NEEDS_ROOT", "rules are not for everybody");
    },
    connections: async ({ service, limit }) => {
      if (service === "no-tool")
        throw new EnvironmentError("MISSING_TOOL", "there is no conntrack", { hint: "install it" });
      return service === "web" ? { connections: [], total: limit, unknown: [] } : undefined;
    },
  });
  const path = join(folder, "agent.sock");
  const place: PagePlace = { kind: "socket", path, group: undefined };
  const server = await servePages(pages[which](), { place, onProblem: () => {} });
  onTestFinished(() => server.close());
  const ask = (question: string) =>
    new Promise<{ code: number; body: string }>((resolve, reject) => {
      const [method, url] = question.split(" ");
      const asked = request({ socketPath: path, method, path: url }, async (response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of response) chunks.push(chunk);
        resolve({ code: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() });
      });
      asked.on("error", reject).end();
    });
  return { ask, path };
}

test("the socket tells the status, and confirms once what is held back", async () => {
  const { ask, path } = await served("socket");
  expect((await stat(path)).mode & 0o777).toBe(0o660);
  expect(JSON.parse((await ask("GET /v1/status")).body)).toMatchObject({ state: "following", pid: 42 });
  expect(await ask("POST /v1/confirm")).toMatchObject({ code: 200 });
  expect(await ask("POST /v1/confirm")).toMatchObject({ code: 409 });
  expect(await ask("GET /v1/confirm")).toMatchObject({ code: 405 });
});

test.for([
  { query: "service=web", code: 200, says: { total: 100 } },
  { query: "service=web&limit=7", code: 200, says: { total: 7 } },
  { query: "service=web&limit=999999999", code: 200, says: { total: 100_000 } },
  { query: "service=other", code: 404, says: { error: "no such service is in force" } },
  { query: "service=no-tool", code: 503, says: { error: "there is no conntrack", hint: "install it" } },
  { query: "service=web&limit=0", code: 400, says: {} },
  { query: "", code: 400, says: {} },
])("the socket tells connections: $query", async ({ query, code, says }) => {
  const { ask } = await served("socket");
  const answer = await ask(`GET /v1/connections?${query}`);
  expect(answer.code).toBe(code);
  expect(JSON.parse(answer.body)).toMatchObject(says);
});

test("the socket tells the topology once there is one, to who has one already what is otherwise, and why there are no rules", async () => {
  const { ask } = await served("socket");
  expect(await ask("GET /v1/topology")).toMatchObject({ code: 503 });
  const { code, body } = await ask("GET /v1/topology?since=7");
  expect(code).toBe(200);
  expect(JSON.parse(body)).toMatchObject({ id: "1", since: "7", services: [] });
  const rules = await ask("GET /v1/rules");
  expect(rules.code).toBe(503);
  expect(rules.body).toContain("rules are not for everybody");
});

test("who follows the agent is told whether something is otherwise, and counters that are new", async () => {
  const digest = async (status: Partial<HostAgentStatus>) => {
    const { ask } = await served("socket", status);
    return (await ask("GET /v1/status-digest")).body;
  };
  const { ports } = exampleHostAgentStatus();
  expect(await digest({ busySince: "2026-01-01T00:00:00.000Z" })).toBe(await digest({}));
  expect(await digest({ planDigest: "other" })).not.toBe(await digest({}));
  expect(await digest({ ports: ports.map((port) => ({ ...port, state: "failed" })) })).not.toBe(await digest({}));
  const { ask } = await served("socket");
  const { readAt } = JSON.parse((await ask("GET /v1/counters")).body);
  expect(JSON.parse((await ask("GET /v1/counters")).body).services).toHaveLength(1);
  expect(JSON.parse((await ask(`GET /v1/counters?since=${readAt}`)).body)).toMatchObject({ services: [], readAt });
});

test("who is connected is told on the socket alone", async () => {
  const { ask } = await served("metrics");
  expect(await ask("GET /v1/connections?service=web")).toMatchObject({ code: 404 });
});

test("probes learn nothing of services, and confirm nothing", async () => {
  const { ask } = await served("health");
  expect(await ask("GET /livez")).toMatchObject({ code: 200 });
  expect(await ask("GET /v1/status")).toMatchObject({ code: 404 });
  expect(await ask("POST /v1/confirm")).toMatchObject({ code: 404 });
});

test("an agent whose work does not end fails its probes, and they are counted by their code", async () => {
  const { ask } = await served("metrics", { busySince: "2026-01-01T00:00:00.000Z" });
  expect(await ask("GET /healthz")).toMatchObject({ code: 503 });
  expect((await ask("GET /metrics")).body).toContain('kubeproxy_proxy_healthz_total{code="503"} 1\n');
});

test("metrics tell state, drift, what is held back and the plan", async () => {
  const { ask } = await served("metrics", { state: "degraded", kernel: { notice: "told", mended: 3 } });
  const { body } = await ask("GET /metrics");
  expect(body).toContain('svcproxy_agent_state{state="degraded"} 1\n');
  expect(body).toContain("svcproxy_drift_mended_total 3\n");
  expect(body).toContain('svcproxy_plan_info{digest="0123456789abcdef"} 1\n');
  expect(body).toContain("svcproxy_change_held 0\n");
});

test("what was changed, queued and forgotten has kube-proxy's names; older generations are counted and told", async () => {
  const { ask } = await served("socket");
  const { body } = await ask("GET /metrics");
  for (const [name, value] of [
    ["kubeproxy_sync_proxy_rules_service_changes_total", 7],
    ["kubeproxy_sync_proxy_rules_service_changes_pending", 1],
    ["kubeproxy_sync_proxy_rules_endpoint_changes_total", 9],
    ["kubeproxy_sync_proxy_rules_endpoint_changes_pending", 2],
    [
      'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv4"}',
      Date.parse("2026-01-01T00:01:00.000Z") / 1000,
    ],
    ['kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}', 2],
    ['kubeproxy_sync_full_proxy_rules_duration_seconds_sum{ip_family="IPv4"}', 1.5],
    ['kubeproxy_sync_partial_proxy_rules_duration_seconds_bucket{ip_family="IPv4",le="0.004"}', 1],
    ['kubeproxy_conntrack_reconciler_sync_duration_seconds_sum{ip_family="IPv4"}', 0.007],
    ['kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"}', 4],
    ['kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total{ip_family="IPv4"}', 1],
    ['kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv4",le="0.5"}', 1],
    ['kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv4",le="59"}', 1],
    ['kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv4",le="65"}', 2],
    ['kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv4",le="300"}', 2],
    ['kubeproxy_network_programming_duration_seconds_sum{ip_family="IPv4"}', 61.3],
    ['kubeproxy_sync_proxy_rules_iptables_total{ip_family="IPv4",table="nat"}', 120],
    ['kubeproxy_sync_proxy_rules_iptables_last{ip_family="IPv4",table="nat"}', 5],
    ['kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv4"}', 3],
    ['rest_client_requests_total{code="<error>",host="10.0.0.9:6443",method="GET"}', 2],
    ['rest_client_request_duration_seconds_bucket{host="10.0.0.9:6443",verb="GET",le="1"}', 1],
    ["svcproxy_older_generations", 1],
    ["svcproxy_older_generations_connections", 3],
  ])
    expect(body).toContain(`\n${name} ${value}\n`);
  // Of a data path that is not in use nothing can fail.
  expect(body).not.toContain("restore_failures_total{");
  expect(JSON.parse((await ask("GET /v1/status")).body)).toMatchObject({ generations: [{ pid: 41, connections: 3 }] });
});

test("with iptables the failures are those of iptables-restore", async () => {
  const { ask } = await served("metrics", { dataPath: "iptables" });
  const { body } = await ask("GET /metrics");
  const prefix = "kubeproxy_sync_proxy_rules_iptables";
  expect(body).toContain(`\n${prefix}_restore_failures_total{ip_family="IPv4"} 4\n`);
  expect(body).toContain(`\n${prefix}_partial_restore_failures_total{ip_family="IPv4"} 2\n`);
  expect(body).not.toMatch(/^kubeproxy_\w*nftables\w*\{/m);
});

test("before the first plan nothing says when one was carried out, or came", async () => {
  const { appliedAt: _, source, ...status } = exampleHostAgentStatus();
  const { ask } = await served("metrics", {}, { ...status, ports: [], source: { name: source.name } });
  expect((await ask("GET /metrics")).body).not.toMatch(/^kubeproxy_sync_proxy_rules_last\w*_timestamp_seconds\{/m);
});

test("what is told of a sync is told for each family that is served", async () => {
  const [port] = exampleHostAgentStatus().ports;
  if (port === undefined) throw new Error("the example has no port");
  const { ask } = await served("metrics", { ports: [{ ...port, family: 6 }, port] });
  const { body } = await ask("GET /metrics");
  const name = "kubeproxy_sync_proxy_rules_last_timestamp_seconds";
  const at = Date.parse("2026-01-01T00:01:00.000Z") / 1000;
  expect(body).toContain(`\n${name}{ip_family="IPv4"} ${at}\n${name}{ip_family="IPv6"} ${at}\n`);
  expect(body).toContain('\nkubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv6"} 8\n');
  expect(body).toContain('\nkubeproxy_network_programming_duration_seconds_count{ip_family="IPv6"} 0\n');
});
