import { expect, test } from "vitest";
import { renderMetrics } from "../observe/render-metrics.ts";
import { exampleFrontend, exampleStatus } from "../testing/example-status.ts";
import { USERSPACE_METRICS } from "./userspace-metrics.ts";

test("every family has its help and type, once", async () => {
  const text = await renderMetrics(USERSPACE_METRICS, exampleStatus());
  for (const { name, type, help } of USERSPACE_METRICS) {
    expect(text.split(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`)).toHaveLength(2);
  }
});

test.for([
  'svcproxy_info{version="1.2.3",host="cloudos1"} 1',
  "svcproxy_ready 1",
  "svcproxy_connections_limit 480",
  'svcproxy_frontend_connections_total{protocol="tcp",address="10.100.100.1",port="7070",service="default/service1",port_name="",kind="clusterIP"} 10',
  'svcproxy_frontend_connections_failed_total{protocol="tcp",address="10.100.100.1",port="7070",service="default/service1",port_name="",kind="clusterIP",reason="dial-failed"} 2',
  'svcproxy_frontend_bytes_total{protocol="tcp",address="10.100.100.1",port="7070",service="default/service1",port_name="",kind="clusterIP",direction="to_client"} 2048',
  'svcproxy_udp_datagrams_dropped_total{protocol="udp",address="10.100.100.1",port="7070",service="default/service1",port_name="",kind="clusterIP"} 4',
  'svcproxy_endpoint_dial_failures_total{protocol="tcp",address="10.5.75.2",port="3000",code="ECONNREFUSED"} 2',
  'svcproxy_endpoint_state{protocol="tcp",address="10.5.75.2",port="3000",state="up"} 1',
  'svcproxy_endpoint_state{protocol="tcp",address="10.5.75.2",port="3000",state="ejected"} 0',
  'svcproxy_worker_event_loop_delay_seconds{worker="0",quantile="0.99"} 0.004',
  'svcproxy_worker_event_loop_utilization{worker="0"} 0.25',
  'svcproxy_worker_udp_sessions{worker="0"} 1',
])("it says %s", async (line) => {
  expect((await renderMetrics(USERSPACE_METRICS, exampleStatus())).split("\n")).toContain(line);
});

test("the buckets of the dial time are cumulative, and the last one holds all", async () => {
  const lines = (await renderMetrics(USERSPACE_METRICS, exampleStatus()))
    .split("\n")
    .filter((line) => line.includes("dial_seconds"));
  const endpoint = 'protocol="tcp",address="10.5.75.2",port="3000"';
  expect(lines).toContain(`svcproxy_endpoint_dial_seconds_bucket{${endpoint},le="0.0005"} 0`);
  expect(lines).toContain(`svcproxy_endpoint_dial_seconds_bucket{${endpoint},le="0.001"} 6`);
  expect(lines).toContain(`svcproxy_endpoint_dial_seconds_bucket{${endpoint},le="5"} 6`);
  expect(lines).toContain(`svcproxy_endpoint_dial_seconds_bucket{${endpoint},le="+Inf"} 7`);
  expect(lines).toContain(`svcproxy_endpoint_dial_seconds_count{${endpoint}} 7`);
  expect(lines).toContain(`svcproxy_endpoint_dial_seconds_sum{${endpoint}} 7`);
});

test("a name from the topology cannot break out of its label", async () => {
  const frontend = { ...exampleFrontend("tcp"), service: 'a"} 1\nforged 1' };
  const text = await renderMetrics(USERSPACE_METRICS, exampleStatus({ frontends: [frontend] }));
  expect(text).not.toContain("\nforged");
});

test("what no userspace proxy can serve is not counted as missing", async () => {
  const frontends = [exampleFrontend("tcp"), exampleFrontend("sctp", { kind: "unsupported", reason: "no sockets" })];
  const text = await renderMetrics(USERSPACE_METRICS, exampleStatus({ frontends }));
  expect(text.match(/^svcproxy_frontend_ready\{.*$/gm)).toHaveLength(1);
});

test("many thousand frontends are rendered, none left out", async () => {
  const frontend = exampleFrontend("tcp");
  const frontends = Array.from({ length: 20_000 }, (_, port) => ({ ...frontend, key: `tcp 10.0.0.1:${port}` }));
  const text = await renderMetrics(USERSPACE_METRICS, exampleStatus({ frontends }));
  expect(text.split("\nsvcproxy_frontend_ready{")).toHaveLength(20_001);
});

test("quantiles are a summary's alone", () => {
  const withQuantiles = USERSPACE_METRICS.filter(({ samples }) =>
    samples(exampleStatus()).some(({ labels }) => "quantile" in labels),
  );
  expect(withQuantiles.map(({ name, type }) => [name, type])).toEqual([
    ["svcproxy_worker_event_loop_delay_seconds", "summary"],
  ]);
});
