import { once } from "node:events";
import { connect, createServer } from "node:net";
import { type HealthCheck, parseIpAddress, parsePort, parseTopology } from "@svcproxy/topology";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { HealthCheckServers } from "./health-check-servers.ts";

const { topology } = parseTopology(
  Buffer.from(
    "{ hosts: [{ name: a, address: 192.0.2.1 }], services: [{ name: web, clusterIP: 10.96.0.10, ports: [{ port: 80 }], endpoints: [] }] }",
  ),
  { file: "web.yaml" },
);

function check(number: number, localReadyEndpoints: number, addresses: readonly string[] = []): HealthCheck {
  const [service] = topology.services;
  const port = parsePort(number);
  if (service === undefined || port === undefined) throw new Error("a bad example");
  const places = addresses.map(parseIpAddress).filter((address) => address !== undefined);
  return { service, port, localReadyEndpoints, ...(places.length === 0 ? {} : { addresses: places }) };
}

async function ask(port: number, address = "127.0.0.1") {
  const response = await fetch(`http://${address}:${port}/healthz`).catch(() => undefined);
  if (response === undefined) return undefined;
  const weight = response.headers.get("x-load-balancing-endpoint-weight");
  return { status: response.status, weight, body: await response.json() };
}

function startServers(said: string[] = [], isHealthy = () => true): HealthCheckServers {
  const logger = pino({ base: null }, { write: (line: string) => said.push(line) });
  const servers = new HealthCheckServers({ logger, isHealthy });
  onTestFinished(() => servers.close());
  return servers;
}

test("a load balancer learns how many endpoints this host has, follows changes, and loses the port with the service", async () => {
  const port = await freePort();
  const servers = startServers();
  servers.apply([check(port, 2)]);
  await vi.waitFor(async () =>
    expect(await ask(port)).toEqual({
      status: 200,
      weight: "2",
      body: { service: { namespace: "default", name: "web" }, localEndpoints: 2, serviceProxyHealthy: true },
    }),
  );
  servers.apply([check(port, 0)]);
  expect((await ask(port))?.status).toBe(503);
  servers.apply([]);
  expect(await ask(port)).toBeUndefined();
});

test("where changes are not carried out any more, a balancer is told so beside the endpoints that were counted last", async () => {
  const port = await freePort();
  let isHealthy = false;
  const servers = startServers([], () => isHealthy);
  servers.apply([check(port, 2)]);
  await vi.waitFor(async () =>
    expect(await ask(port)).toMatchObject({
      ...{ status: 503, weight: "2" },
      body: { localEndpoints: 2, serviceProxyHealthy: false },
    }),
  );
  isHealthy = true;
  expect(await ask(port)).toMatchObject({ status: 200, body: { serviceProxyHealthy: true } });
});

test("only the addresses that serve NodePorts answer, where not all do", async () => {
  const port = await freePort();
  const servers = startServers();
  const answering = async () =>
    Promise.all(["127.0.0.1", "127.0.0.2", "127.0.0.3"].map(async (address) => (await ask(port, address))?.status));
  servers.apply([check(port, 1, ["127.0.0.2", "127.0.0.3"])]);
  await vi.waitFor(async () => expect(await answering()).toEqual([undefined, 200, 200]));
  servers.apply([check(port, 0, ["127.0.0.1", "127.0.0.3"])]);
  await vi.waitFor(async () => expect(await answering()).toEqual([503, undefined, 503]));
});

test("a port that is taken is tried again, and said once", async () => {
  const holder = createServer().listen(0);
  await once(holder, "listening");
  const port = portOf(holder);
  const said: string[] = [];
  const servers = startServers(said);
  servers.apply([check(port, 1)]);
  await vi.waitFor(() => expect(said).toHaveLength(1));
  expect(said[0]).toContain(`on port ${port}, it is tried again: listen EADDRINUSE: address already in use :::${port}`);
  expect(said[0]).not.toContain("    at ");
  holder.close();
  await vi.waitFor(async () => expect((await ask(port))?.status).toBe(200));
  expect(said).toHaveLength(1);
});

test("connections that ask nothing keep no balancer out, on whatever port they are", async () => {
  const ports = [await freePort(), await freePort()];
  const servers = startServers();
  servers.apply(ports.map((port) => check(port, 1)));
  await vi.waitFor(async () => expect((await ask(ports[0] ?? 0))?.status).toBe(200));
  const idle = Array.from({ length: 100 }, (_, index) => connect(ports[index % 2] ?? 0, "127.0.0.1"));
  onTestFinished(() => idle.forEach((socket) => void socket.destroy()));
  let closed = 0;
  for (const socket of idle) socket.on("error", () => {}).on("close", () => closed++);
  await vi.waitFor(() => expect(closed).toBe(100 - 32));
  for (const port of ports) expect((await ask(port))?.status).toBe(200);
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
}

function portOf(server: ReturnType<typeof createServer>): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
