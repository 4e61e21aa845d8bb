import { thisMachine } from "@svcproxy/host";
import { NftablesDataPath } from "@svcproxy/nftables";
import { parseTopology, planHost } from "@svcproxy/topology";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { renderMetrics } from "../../observe/render-metrics.ts";
import { ServiceCounterReader } from "./service-counters.ts";
import { SERVICE_METRICS } from "./service-metrics.ts";

const PLAN = planHost(
  parseTopology(
    new TextEncoder().encode(
      JSON.stringify({
        hosts: [{ name: "one", address: "192.0.2.1" }],
        services: ["a", "b", "c"].map((name, index) => ({
          name,
          clusterIP: `10.100.0.${index + 1}`,
          internalTrafficPolicy: "Local",
          ports: [{ port: 80 }],
          endpoints: ["10.5.75.2:3000"],
        })),
      }),
    ),
    { file: "web.yaml" },
  ).topology,
  { host: "one" },
);

/** Has counted so many connections of each service; how often it was asked is `asked`. */
function readerOf(counts: readonly number[], { limit = 10, error = "", takesMs = 0 } = {}) {
  const state = { asked: 0, counts };
  const run = async (_tool: string, args: readonly string[]) => {
    if (!args.join(" ").includes("map ip svcproxy services"))
      return { exitCode: 1, stdout: "", stderr: "Error: No such file or directory" };
    state.asked++;
    await new Promise((resolve) => setTimeout(resolve, takesMs));
    if (error !== "") return { exitCode: 1, stdout: "", stderr: error };
    const elements = state.counts.map(
      (count, index) =>
        `10.100.0.${index + 1} . tcp . 80 counter packets ${count} bytes 0 comment "x" : ${index + 1}:0`,
    );
    const stdout = `table ip svcproxy {\n\tmap services {\n\t\telements = { ${elements.join(",\n\t\t\t     ")} }\n\t}\n}\n`;
    return { exitCode: 0, stdout, stderr: "" };
  };
  const reader = new ServiceCounterReader({
    machine: { ...thisMachine, run },
    dataPath: new NftablesDataPath(),
    plan: () => PLAN,
    ...{ limit, countsTraffic: false, signal: AbortSignal.timeout(60_000), logger: pino({ level: "silent" }) },
  });
  return { reader, state };
}

test("the busiest services are told of, the others are counted as left out, and a second scrape reads nothing", async () => {
  const { reader, state } = readerOf([1, 5, 3], { limit: 2 });
  const counters = await reader.read();
  expect(counters?.services.map(({ service, connections }) => [service, connections])).toEqual([
    ["default/b", 5],
    ["default/c", 3],
  ]);
  expect(counters?.leftOut).toBe(1);
  state.counts = [100, 5, 3];
  expect(await reader.read()).toBe(counters);
  expect(state.asked).toBe(1);
});

test("a scrape is not held up for long: what takes long to read is told to the next one", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { reader, state } = readerOf([1, 5, 3], { takesMs: 5_000 });
  const first = reader.read();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await first).toBeUndefined();
  await vi.advanceTimersByTimeAsync(4_000);
  expect((await reader.read())?.services).toHaveLength(3);
  expect(state.asked).toBe(1);
});

test("with a bound of 0 nothing is read, and all are left out", async () => {
  const { reader, state } = readerOf([1], { limit: 0 });
  expect([await reader.read(), state.asked]).toEqual([undefined, 0]);
  const text = await renderMetrics(SERVICE_METRICS, { services: undefined, plan: PLAN });
  expect(text).toContain("\nsvcproxy_service_series_left_out 3\n");
});

test("counters that cannot be read leave the other metrics be", async () => {
  const { reader } = readerOf([1], { error: "Error: Operation not permitted" });
  expect(await reader.read()).toBeUndefined();
});

test("the metrics are Prometheus', and policies that find no endpoint here are counted", async () => {
  const { reader } = readerOf([1, 5, 3], { limit: 1 });
  const text = await renderMetrics(SERVICE_METRICS, {
    services: await reader.read(),
    plan: PLAN,
  });
  expect(text).toContain('svcproxy_service_connections_total{service="default/b",port_name="",protocol="tcp"} 5\n');
  expect(text).toContain("svcproxy_service_series_left_out 2\n");
  expect(text).toContain(
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="internal"} 3\n',
  );
});
