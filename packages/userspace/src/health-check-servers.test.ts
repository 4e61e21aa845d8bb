import { once } from "node:events";
import { createServer } from "node:net";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { HealthCheckServers } from "./health-check-servers.ts";
import { ip, loopbackPlan, portOf } from "./testing/loopback-plan.ts";
import { until } from "./testing/test-proxy.ts";
import { freePort } from "./testing/test-server.ts";

const [servicePort] = loopbackPlan([{ vip: "10.96.0.10", port: 80, name: "web", endpoints: [] }]).ports;

function check(port: number, localReadyEndpoints: number) {
  if (servicePort === undefined) throw new Error("the plan has one port");
  return { service: servicePort.service, port: portOf(port), localReadyEndpoints };
}

async function ask(port: number, address = "127.0.0.1") {
  const response = await fetch(`http://${address}:${port}/healthz`).catch(() => undefined);
  if (response === undefined) return undefined;
  const weight = response.headers.get("x-load-balancing-endpoint-weight");
  return { status: response.status, weight, body: await response.json() };
}

test("a load balancer learns how many endpoints this host has, follows changes, and loses the port with the service", async () => {
  const port = await freePort();
  const servers = new HealthCheckServers(pino({ level: "silent" }));
  onTestFinished(() => servers.close());
  servers.apply([check(port, 2)]);
  const first = await until(
    () => ask(port),
    (answer) => answer !== undefined,
  );
  expect(first).toEqual({
    status: 200,
    weight: "2",
    body: { service: { namespace: "default", name: "web" }, localEndpoints: 2, serviceProxyHealthy: true },
  });
  servers.apply([check(port, 0)]);
  expect((await ask(port))?.status).toBe(503);
  servers.apply([]);
  expect(await ask(port)).toBeUndefined();
});

test("only the addresses that serve NodePorts answer, where not all do", async () => {
  const port = await freePort();
  const servers = new HealthCheckServers(pino({ level: "silent" }));
  onTestFinished(() => servers.close());
  const answering = async () =>
    Promise.all(["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(async (address) => (await ask(port, address))?.status));
  servers.apply([{ ...check(port, 1), addresses: [ip("127.0.0.2"), ip("127.0.0.3")] }]);
  await until(answering, (statuses) => statuses.join() === ",200,200");
  servers.apply([{ ...check(port, 0), addresses: [ip("127.0.0.1"), ip("127.0.0.3")] }]);
  await until(answering, (statuses) => statuses.join() === "503,,503");
});

test("a port that is taken is tried again", async () => {
  const holder = createServer().listen(0);
  await once(holder, "listening");
  const address = holder.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const said: string[] = [];
  const servers = new HealthCheckServers(pino({ base: null }, { write: (line: string) => said.push(line) }));
  onTestFinished(() => servers.close());
  servers.apply([check(address.port, 1)]);
  await until(
    () => said.length,
    (count) => count === 1,
  );
  expect(said[0]).toContain(
    `cannot answer health checks: listen EADDRINUSE: address already in use :::${address.port}`,
  );
  expect(said[0]).not.toContain("    at ");
  holder.close();
  await until(
    () => ask(address.port),
    (answer) => answer?.status === 200,
  );
});
