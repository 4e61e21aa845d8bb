import { once } from "node:events";
import { createServer } from "node:net";
import process from "node:process";
import { expect, onTestFinished, test, vi } from "vitest";
import { type ObservedPages, startObserveServer } from "./observe-server.ts";

const PAGES: ObservedPages = {
  metrics: async () => "svcproxy_ready 1\n",
  status: async () => ({ ready: true }),
  unreadiness: async () => [],
};

test("/metrics is Prometheus text", async () => {
  const { get } = await serve();
  const response = await get("/metrics");
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(await response.text()).toBe("svcproxy_ready 1\n");
});

test("/status is the status as JSON", async () => {
  const { get } = await serve();
  expect(await (await get("/status")).json()).toEqual({ ready: true });
});

test("/readyz says ready, or what is not, and /healthz is well", async () => {
  const { get } = await serve();
  const response = await get("/readyz");
  expect([response.status, await response.text()]).toEqual([200, "ready\n"]);
  const other = await serve({ unreadiness: async () => ["not every frontend listens", "tcp 10.0.0.1:80: taken"] });
  const not = await other.get("/readyz");
  expect([not.status, await not.text()]).toEqual([503, "not every frontend listens\ntcp 10.0.0.1:80: taken\n"]);
  expect((await other.get("/healthz")).status).toBe(200);
});

test.for([
  { path: "/", method: "GET", status: 404 },
  { path: "/metrics", method: "POST", status: 405 },
  { path: "/metrics?name=x", method: "GET", status: 200 },
  { path: "/metrics", method: "HEAD", status: 200 },
])("$method $path is answered with $status", async ({ path, method, status }) => {
  const { get } = await serve();
  expect((await get(path, { method })).status).toBe(status);
});

test("a proxy that cannot be asked is a 500, and no crash", async () => {
  const problems = vi.fn();
  const { get } = await serve({ metrics: () => Promise.reject(new Error("no answer")) }, problems);
  expect((await get("/metrics")).status).toBe(500);
  expect(problems).toHaveBeenCalledOnce();
});

test("an address that is taken is an error with a way out", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void other.close());
  await once(other, "listening");
  const taken = other.address();
  const port = typeof taken === "object" && taken !== null ? taken.port : 0;
  const listen = { address: "127.0.0.1", port };
  await expect(startObserveServer({ listen, pages: PAGES, onProblem: () => {} })).rejects.toMatchObject({
    code: "METRICS_ADDRESS",
    message: expect.stringContaining(`held by pid ${process.pid}`),
    hint: "Give another address with --metrics",
  });
});

test("close ends kept-alive connections too", async () => {
  const { get, server } = await serve();
  await (await get("/healthz")).text();
  await server.close();
  await expect(get("/healthz")).rejects.toThrow();
});

async function serve(
  pages: Partial<ObservedPages> = {},
  onProblem: (error: unknown) => void = (error) => expect.unreachable(String(error)),
) {
  const listen = { address: "127.0.0.1", port: 0 };
  const server = await startObserveServer({ listen, pages: { ...PAGES, ...pages }, onProblem });
  onTestFinished(() => server.close());
  return { server, get: (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${server.port}${path}`, init) };
}
