import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import type { ClusterObject } from "../testing/cluster-store.ts";
import { type ScriptedAnswer, TestApiServer } from "../testing/test-api-server.ts";
import { ApiClient } from "./api-client.ts";
import { ApiError } from "./api-error.ts";
import { Reflector, type ReflectorOptions } from "./reflector.ts";
import { resourcesOf } from "./resource.ts";

let server: TestApiServer;
beforeEach(async () => {
  server = await TestApiServer.start();
});
afterEach(() => server[Symbol.asyncDispose]());

const [SERVICES] = resourcesOf("cloudos1");

function service(name: string, more: object = {}): ClusterObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: { clusterIP: "10.96.0.1", ...more },
  };
}

/** A reflector of services, and what its sink was told. */
function follow(options: Partial<ReflectorOptions> = {}) {
  const client = new ApiClient({ server: server.url, skipsVerification: false, user: {} }, { version: "0" });
  const told: string[] = [];
  const failures: unknown[] = [];
  const objects = new Map<string, object>();
  const reflector = new Reflector({
    ...{ client, resource: SERVICES, firstRetryMs: 1, longestRetryMs: 20, ...options },
    sink: {
      set: (key, object) => {
        objects.set(key, object);
        told.push(`set ${key}`);
      },
      remove: (key) => {
        objects.delete(key);
        told.push(`remove ${key}`);
      },
      changed: () => {},
      heard: () => {},
      opened: () => {},
      failed: (error) => failures.push(error),
    },
  });
  const ending = new AbortController();
  const running = reflector.run(ending.signal);
  onTestFinished(async () => {
    ending.abort();
    await running;
    client[Symbol.dispose]();
  });
  const names = () => [...objects.keys()].map((key) => key.replace("default/", "")).sort();
  return {
    ...{ reflector, told, failures, objects, names },
    has: (...wanted: readonly string[]) => expect.poll(names).toEqual(wanted),
  };
}

/** Answers the first requests by the script, one after the other, the rest from the store. */
function script(...answers: readonly (ScriptedAnswer | undefined)[]): void {
  const rest = [...answers];
  server.script = () => rest.shift();
}

test("one watch brings all there is and what becomes of it; nothing is listed", async () => {
  server.store.put(service("one"));
  const { has, told } = follow();
  await has("one");
  server.store.put(service("two"));
  await has("one", "two");
  server.store.delete("Service", "default/one");
  await has("two");
  expect(told).toEqual(["set default/one", "set default/two", "remove default/one"]);
  expect(server.requests).toHaveLength(1);
  expect(Object.fromEntries(server.requests[0]?.query ?? [])).toMatchObject({
    ...{ watch: "true", allowWatchBookmarks: "true", sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" },
    labelSelector: "!service.kubernetes.io/service-proxy-name",
    fieldSelector: "spec.clusterIP!=None",
  });
});

test("a server that cannot stream lists (etcd 3.4) is asked for pages, then watched", async () => {
  server.canStream = false;
  for (const name of ["one", "two", "three"]) server.store.put(service(name));
  const { has } = follow();
  await has("one", "three", "two");
  server.store.put(service("four"));
  await has("four", "one", "three", "two");
  const [stream, list, watch] = server.requests;
  expect(stream?.query.get("sendInitialEvents")).toBe("true");
  expect(list?.query.get("limit")).toBe("500");
  expect(watch?.query.get("resourceVersion")).toBe("103");
  expect(server.requests).toHaveLength(3);
});

test.for([
  "watch-sendinitialevents-no-match",
  "403-nobody",
  "etcd34-watch-sendinitialevents-services",
  "list-bad-field",
])("the stream refused by %s: pages at once", async (recorded) => {
  server.store.put(service("one"));
  script({ recorded });
  const { has } = follow();
  await has("one");
  expect(server.requests.slice(0, 2).map(({ query }) => query.get("limit"))).toEqual([null, "500"]);
});

test.for(["etcd34-watch-no-rv", "429-list", "list-rv-future"])(
  "the stream put off by %s: it is asked for again",
  async (recorded) => {
    server.store.put(service("one"));
    script({ recorded });
    const { has } = follow();
    await has("one");
    expect(server.requests[1]?.query.get("sendInitialEvents")).toBe("true");
  },
);

test("a page that has expired begins the list anew, and mixes no two states", async () => {
  server.canStream = false;
  server.store.put(service("one"));
  script(undefined, { recorded: "410-continue-1" }, { recorded: "410-continue-2-expired" });
  const { has } = follow();
  await has("one");
  expect(server.requests[2]?.query.get("continue")).not.toBeNull();
  expect(server.requests[3]?.query.get("continue")).toBeNull();
});

test("pages of a list are put together, and the watch begins where the first one was", async () => {
  server.canStream = false;
  script(
    undefined,
    { recorded: "list-limit-1" },
    { recorded: "list-limit-2" },
    { recorded: "list-limit-3" },
    "silence",
  );
  const { names } = follow();
  await expect.poll(() => server.requests.length).toBe(5);
  expect(names()).toHaveLength(6);
  expect(server.requests[4]?.query.get("resourceVersion")).toBe("229");
});

test("a watch that is too old (200 with an ERROR line) asks for everything anew; what went meanwhile goes", async () => {
  server.store.put(service("one"));
  server.store.put(service("two"));
  const { has, told, failures } = follow();
  await has("one", "two");
  await server.kill();
  server.store.delete("Service", "default/one");
  server.store.put(service("three"));
  server.store.compact();
  await server.listen();
  await has("three", "two");
  expect(told).toContain("remove default/one");
  // The server was away, which is told; that the version was too old is nobody's trouble.
  expect(failures.every((error) => !(error instanceof ApiError) || !error.isExpired)).toBe(true);
});

test("a server that was killed and is back is watched from where it was", async () => {
  server.store.put(service("one"));
  const { has } = follow();
  await has("one");
  await server.kill();
  server.store.put(service("two"));
  server.store.delete("Service", "default/one");
  await server.listen();
  await has("two");
  const watches = server.requests.filter(({ query }) => query.get("watch") === "true");
  expect(watches.map(({ query }) => query.get("resourceVersion"))).toEqual([null, "101"]);
});

test("a store that was set back is noticed as soon as the server is back", async () => {
  server.store.put(service("one"));
  for (let count = 0; count < 10; count++) server.store.put(service("two", { count }));
  const { has } = follow();
  await has("one", "two");
  await server.kill();
  server.store.delete("Service", "default/two");
  server.store.restore(50);
  await server.listen();
  await has("one");
});

test("an object that a store that was set back has once more at the same version is as it is now", async () => {
  server.store.put(service("one", { clusterIP: "10.96.0.1" }));
  server.store.put(service("two"));
  const { has, objects } = follow();
  await has("one", "two");
  await server.kill();
  server.store.restore(100);
  server.store.put(service("one", { clusterIP: "10.96.0.9" }));
  await server.listen();
  await expect
    .poll(() => objects.get("default/one"))
    .toMatchObject({
      ...{ metadata: { resourceVersion: "101" }, spec: { clusterIP: "10.96.0.9" } },
    });
});

test("what went while all was asked for anew goes", async () => {
  server.store.put(service("one"));
  server.store.put(service("two"));
  const { has, reflector } = follow();
  await has("one", "two");
  await server.kill();
  reflector.restart();
  server.store.delete("Service", "default/one");
  await server.listen();
  await has("two");
});

const NO_LISTS = [
  "{}",
  "null",
  '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}',
  '{"kind":"ServiceList","apiVersion":"v1","metadata":{},"items":[]}',
  '{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"900"},"items":[]}',
  '{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"900"},"items":[{}]}',
  '{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"900"},"items":"none"}',
  "<html>welcome</html>",
  "",
];

test.for(NO_LISTS)("%s in place of a list takes nothing away, and is told", async (body) => {
  server.canStream = false;
  server.store.put(service("one"));
  const { has, told, failures } = follow();
  await has("one");
  server.store.compact();
  server.script = ({ query }) => (query.get("watch") === "true" ? undefined : { body });
  await server.kill();
  server.store.put(service("two"));
  server.store.compact();
  await server.listen();
  await expect.poll(() => failures.map(String).filter((text) => /answer is not/.test(text)).length).toBeGreaterThan(2);
  expect(told).toEqual(["set default/one"]);
  server.script = () => undefined;
  await has("one", "two");
});

test.for([
  "null",
  "7",
  "{}",
  '{"type":"ADDED"}',
  '{"type":"ADDED","object":{"kind":"Service","metadata":{}}}',
  '{"type":"DELETED","object":{"kind":"Pod","metadata":{"name":"one","namespace":"default","resourceVersion":"900"}}}',
])("%s in place of an event is told, and the watch goes on from before it", async (line) => {
  server.store.version = 300;
  const asked = { recorded: "watch-sendinitialevents-services" };
  script(asked, { body: `${line}\n` }, undefined, "silence");
  const { failures, told } = follow();
  await expect.poll(() => server.askedOf("services").length).toBe(4);
  expect(failures.map(String).join()).toContain("is not an event of services");
  expect(told.filter((what) => what.startsWith("remove"))).toEqual([]);
  const [, before, after] = server.askedOf("services").filter(({ query }) => query.get("watch") === "true");
  expect(after?.query.get("resourceVersion")).toBe(before?.query.get("resourceVersion"));
});

test("a watch on which nothing comes any more, while all else is answered, is opened anew", async () => {
  server.store.version = 300;
  script({ recorded: "watch-sendinitialevents-services" }, "silence");
  const { names, failures } = follow({ watchSilenceMs: 100 });
  await expect.poll(() => server.requests.length).toBe(2);
  server.store.put(service("one"));
  await expect.poll(names).toContain("one");
  // It may be that nothing happens.
  expect(failures).toEqual([]);
});

test("an object that leaves the selector goes, one that enters it comes", async () => {
  server.store.put(service("one"));
  const { has } = follow();
  await has("one");
  const elsewhere = service("one");
  const labels = { "service.kubernetes.io/service-proxy-name": "other" };
  server.store.put({ ...elsewhere, metadata: { ...elsewhere.metadata, labels } });
  await has();
  server.store.put({ ...elsewhere, metadata: { ...elsewhere.metadata, labels: {} } });
  await has("one");
});

test("an event that was broken off is not taken, and comes again", async () => {
  script({ recorded: "watch-sendinitialevents-services" }, { recorded: "watch-services", cut: true });
  const { names, told } = follow();
  await expect.poll(() => server.requests.length).toBeGreaterThan(3);
  expect(told).toContain("set default/new1");
  // What the store has in the end is nothing.
  await expect.poll(names).toEqual([]);
});

test("bookmarks move the version on, and are no objects", async () => {
  script({ recorded: "watch-sendinitialevents-services" }, { recorded: "watch-services" }, "silence");
  const { objects } = follow();
  await expect.poll(() => server.requests.length).toBe(3);
  expect([...objects.keys()].every((key) => key.startsWith("default/"))).toBe(true);
  expect(server.requests[2]?.query.get("resourceVersion")).toBe("234");
});

test("a server that asks to be left alone is", async () => {
  const times: number[] = [];
  const answers: ScriptedAnswer[] = [{ recorded: "429-list" }, { recorded: "429-list" }];
  server.script = () => {
    times.push(performance.now());
    return answers.shift();
  };
  server.store.put(service("one"));
  const { has, failures } = follow();
  await has("one");
  expect(failures).toHaveLength(2);
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(900);
});

test("who says that the server is there ends the pause after a failure, and not one that the server asked for", async () => {
  server.script = () => ({ status: 500, body: "no" });
  const { failures, reflector } = follow({ firstRetryMs: 3_600_000, longestRetryMs: 3_600_000 });
  await expect.poll(() => failures.length).toBe(1);
  server.script = () => ({ status: 500, body: "not now", headers: { "retry-after": "1" } });
  reflector.retryNow();
  await expect.poll(() => failures.length).toBe(2);
  const asked = server.requests.length;
  server.script = () => undefined;
  server.store.put(service("one"));
  reflector.retryNow();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(server.requests).toHaveLength(asked);
});

test("refused for good, it goes on asking", async () => {
  server.script = () => ({ recorded: "403-nobody" });
  const { failures, has } = follow();
  await expect.poll(() => failures.length).toBeGreaterThan(3);
  server.script = () => undefined;
  server.store.put(service("one"));
  await has("one");
});
