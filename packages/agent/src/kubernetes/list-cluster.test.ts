import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { type AskedRequest, type ScriptedAnswer, TestApiServer } from "../testing/test-api-server.ts";
import { ApiClient } from "./api-client.ts";
import { listCluster } from "./list-cluster.ts";

let server: TestApiServer;
beforeEach(async () => {
  server = await TestApiServer.start();
});
afterEach(() => server[Symbol.asyncDispose]());

function list(signal = new AbortController().signal) {
  const client = new ApiClient({ server: server.url, skipsVerification: false, user: {} }, { version: "0" });
  onTestFinished(() => client[Symbol.dispose]());
  return listCluster(client, signal);
}

function putServices(count: number): void {
  for (let number = 0; number < count; number++) {
    const metadata = { name: `web${number}`, namespace: "default", annotations: { note: "long" } };
    server.store.put({ apiVersion: "v1", kind: "Service", metadata, spec: { clusterIP: "None" } });
  }
}

/** Answers the first requests for a resource by the script. */
function script(plural: string, ...answers: readonly ScriptedAnswer[]): void {
  const rest = [...answers];
  server.script = ({ path }: AskedRequest) => (path.endsWith(`/${plural}`) ? rest.shift() : undefined);
}

test("all objects of all kinds come, page by page, with what other proxies serve, and without what only writers need", async () => {
  putServices(1001);
  server.store.put({ apiVersion: "v1", kind: "Node", metadata: { name: "node1" } });
  const objects = await list();
  expect([...objects].map(([kind, items]) => [kind, items.length])).toEqual([
    ["Service", 1001],
    ["EndpointSlice", 0],
    ["Node", 1],
    ["ServiceCIDR", 0],
  ]);
  expect(server.askedOf("services")).toHaveLength(3);
  expect(server.requests.some(({ query }) => query.has("labelSelector") || query.has("fieldSelector"))).toBe(false);
  expect(JSON.stringify([...objects])).not.toMatch(/managedFields|annotations/);
});

test.for([
  { name: "a page that has expired", answer: { recorded: "410-continue-2-expired" } },
  { name: "a server that is busy", answer: { recorded: "429-list" } },
  {
    name: "a server that is about to end",
    answer: { status: 503, headers: { "retry-after": "0" }, body: "apiserver is shutting down" },
  },
])("$name is asked for again", async ({ answer }) => {
  putServices(2);
  script("services", answer);
  expect((await list()).get("Service")).toHaveLength(2);
  expect(server.askedOf("services")).toHaveLength(2);
});

test("a server without ServiceCIDRs, or that does not show them, has none", async () => {
  for (const recorded of ["unknown-path", "403-nobody"]) {
    script("servicecidrs", { recorded });
    expect((await list()).get("ServiceCIDR")).toEqual([]);
  }
});

test.for([
  { answer: "401-bad-token", code: "API_REFUSED", text: /list services at 127\.0\.0\.1:\d+: Unauthorized/ },
  { answer: "403-nobody", code: "API_REFUSED", text: /User "nobody" cannot list/ },
  { answer: "list-yaml", code: "API_UNREACHABLE", text: /the answer is not JSON/ },
])("$answer is said", async ({ answer, code, text }) => {
  script("services", { recorded: answer }, { recorded: answer });
  await expect(list()).rejects.toMatchObject({ code, message: expect.stringMatching(text) });
});

test.for([
  {
    headers: { "content-encoding": "gzip" },
    body: "hello",
    code: "API_UNREACHABLE",
    text: /not compressed as it says/,
  },
  {
    headers: { "content-encoding": "gzip" },
    body: gzipSync('{"kind":"ServiceList"}').subarray(0, 20),
    code: "API_UNREACHABLE",
    text: /is not JSON|cut off/,
  },
  {
    status: 302,
    headers: { location: "/login" },
    body: "",
    code: "API_FAILED",
    text: /another address.*\(HTTP 302\)$/,
  },
  { status: 500, headers: {}, body: "", code: "API_FAILED", text: /says nothing of why \(HTTP 500\)$/ },
  { status: 200, headers: {}, body: "{}", code: "API_UNREACHABLE", text: /is not a list of services: \{\}$/ },
])("what no API server answers is said: $text", async ({ code, text, ...answer }) => {
  script("services", answer, answer);
  await expect(list()).rejects.toMatchObject({ code, message: expect.stringMatching(text) });
});

test("a server that stays busy is given up, and one that is not there at once", async () => {
  script("services", ...Array.from({ length: 9 }, () => ({ recorded: "list-rv-future" })));
  await expect(list(AbortSignal.timeout(100))).rejects.toMatchObject({ code: "INTERRUPTED" });
  await server.kill();
  await expect(list()).rejects.toMatchObject({ code: "API_UNREACHABLE" });
});
