import { afterEach, beforeEach, expect, test } from "vitest";
import { TestApiServer } from "./test-api-server.ts";

let server: TestApiServer;
beforeEach(async () => {
  server = await TestApiServer.start();
  server.store.put({ apiVersion: "v1", kind: "Node", metadata: { name: "node1" } });
});
afterEach(() => server[Symbol.asyncDispose]());

// A program with types of its own, as kube-proxy is, reads nothing else.
test("lists and marks of their end say of what kind they are", async () => {
  const listed = await fetch(new URL("/api/v1/nodes", server.url));
  expect(await listed.json()).toMatchObject({ kind: "NodeList", apiVersion: "v1", items: [{}] });
  const query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
  const watched = await fetch(new URL(`/api/v1/nodes?${query}`, server.url));
  let text = "";
  for await (const chunk of watched.body ?? []) {
    text += Buffer.from(chunk).toString();
    if (text.split("\n").length > 2) break;
  }
  const [added, end] = text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(added).toMatchObject({ type: "ADDED", object: { kind: "Node", metadata: { name: "node1" } } });
  const annotations = { "k8s.io/initial-events-end": "true" };
  expect(end).toMatchObject({
    type: "BOOKMARK",
    object: { kind: "Node", apiVersion: "v1", metadata: { annotations } },
  });
});

test("takes what a client tells of itself, and knows no other kinds", async () => {
  const told = await fetch(new URL("/apis/events.k8s.io/v1/namespaces/default/events", server.url), {
    ...{ method: "POST", body: '{"kind":"Event"}' },
  });
  expect([told.status, await told.text()]).toEqual([201, '{"kind":"Event"}']);
  expect((await fetch(new URL("/api/v1/pods", server.url))).status).toBe(404);
});
