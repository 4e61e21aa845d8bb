import { once } from "node:events";
import { createServer } from "node:net";
import process from "node:process";
import { expect, onTestFinished, test, vi } from "vitest";
import { exampleFrontend, exampleStatus } from "./example-status.ts";
import { startObserveServer } from "./observe-server.ts";
import { isReady, type StatusDocument } from "./status-document.ts";

test("/metrics is Prometheus text", async () => {
  const { get } = await serve(exampleStatus());
  const response = await get("/metrics");
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await response.text()).toContain("\nsvcproxy_ready 1\n");
});

test("/status is the status as JSON", async () => {
  const { get } = await serve(exampleStatus());
  expect(await (await get("/status")).json()).toEqual(exampleStatus());
});

test("/readyz says ready while every frontend listens", async () => {
  const { get } = await serve(exampleStatus());
  const response = await get("/readyz");
  expect([response.status, await response.text()]).toEqual([200, "ready\n"]);
});

test("/readyz names the frontend that does not listen", async () => {
  const failed = exampleFrontend("tcp", {
    kind: "failed",
    code: "EADDRINUSE",
    reason: "the port is taken",
    retryInMs: 1,
  });
  const { get } = await serve(exampleStatus({ ready: false, frontends: [failed, exampleFrontend("udp")] }));
  const response = await get("/readyz");
  expect(response.status).toBe(503);
  expect(await response.text()).toBe("not every frontend listens\ntcp 10.100.100.1:7070: the port is taken\n");
});

test("/readyz does not wait for what no userspace proxy can serve", async () => {
  const frontends = [
    exampleFrontend("tcp"),
    exampleFrontend("sctp", { kind: "unsupported", reason: "no such sockets" }),
  ];
  const { get } = await serve(exampleStatus({ ready: isReady({ state: "running", frontends }), frontends }));
  const response = await get("/readyz");
  expect([response.status, await response.text()]).toEqual([200, "ready\n"]);
});

test("/readyz is not ready before the first plan", async () => {
  const { get } = await serve(exampleStatus({ ready: false, frontends: [] }));
  const response = await get("/readyz");
  expect([response.status, await response.text()]).toEqual([503, "starting\n"]);
});

test("/readyz is not ready while the proxy drains, and /healthz is well", async () => {
  const { get } = await serve(exampleStatus({ ready: false, state: "draining" }));
  expect((await get("/readyz")).status).toBe(503);
  expect((await get("/healthz")).status).toBe(200);
});

test.for([
  { path: "/", method: "GET", status: 404 },
  { path: "/metrics", method: "POST", status: 405 },
  { path: "/metrics?name=x", method: "GET", status: 200 },
  { path: "/metrics", method: "HEAD", status: 200 },
])("$method $path is answered with $status", async ({ path, method, status }) => {
  const { get } = await serve(exampleStatus());
  expect((await get(path, { method })).status).toBe(status);
});

test("a proxy that cannot be asked is a 500, and no crash", async () => {
  const problems = vi.fn();
  const server = await startObserveServer({
    listen: { address: "127.0.0.1", port: 0 },
    status: () => Promise.reject(new Error("no answer")),
    onProblem: problems,
  });
  onTestFinished(() => server.close());
  expect((await fetch(`http://127.0.0.1:${server.port}/metrics`)).status).toBe(500);
  expect(problems).toHaveBeenCalledOnce();
});

test("an address that is taken is an error with a way out", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void other.close());
  await once(other, "listening");
  const taken = other.address();
  const port = typeof taken === "object" && taken !== null ? taken.port : 0;
  await expect(
    startObserveServer({
      listen: { address: "127.0.0.1", port },
      status: async () => exampleStatus(),
      onProblem: () => {},
    }),
  ).rejects.toMatchObject({
    code: "METRICS_ADDRESS",
    message: expect.stringContaining(`held by pid ${process.pid}`),
    hint: "Give another address with --metrics",
  });
});

test("close ends kept-alive connections too", async () => {
  const { get, server } = await serve(exampleStatus());
  await (await get("/healthz")).text();
  await server.close();
  await expect(get("/healthz")).rejects.toThrow();
});

async function serve(status: StatusDocument) {
  const server = await startObserveServer({
    listen: { address: "127.0.0.1", port: 0 },
    status: async () => status,
    onProblem: (error) => expect.unreachable(String(error)),
  });
  onTestFinished(() => server.close());
  return { server, get: (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${server.port}${path}`, init) };
}
