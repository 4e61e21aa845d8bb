import type { ServerResponse } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { encoded, FakeGateway, type GatewayRequest } from "../testing/fake-gateway.ts";
import { EtcdClient } from "./etcd-client.ts";
import { keepLease } from "./etcd-lease.ts";
import type { EtcdEndpoint, EtcdSettings } from "./etcd-settings.ts";
import { commit, prefixRange, readRange } from "./etcd-store.ts";
import { type EtcdChange, watchRange } from "./etcd-watch.ts";

const HEADER = { cluster_id: "1", revision: "9", raft_term: "2" };

test("a watch's messages come whole, whatever chunks and blank lines they come in, and fragments as one", async () => {
  const messages = [
    { header: HEADER, created: true },
    { header: HEADER, fragment: true, events: [putEvent("/a/ä")] },
    { header: HEADER, events: [putEvent("/a/2"), { type: "DELETE", kv: { key: encoded("/a/3"), mod_revision: "9" } }] },
  ];
  const stream = Buffer.from(`\n${messages.map((result) => `${JSON.stringify({ result })}\n\n`).join("")}`);
  const { client } = await gateway((_, response) => {
    for (let at = 0; at < stream.length; at += 7) response.write(stream.subarray(at, at + 7));
    response.end(`{"result":{"header":{},"events":[`);
  });
  const changes: EtcdChange[] = [];
  for await (const change of watchRange(client, prefixRange("/a/"), { from: 3 })) changes.push(change);
  expect(changes.map(({ upTo }) => upTo)).toEqual([undefined, 9]);
  expect(changes.map(({ events }) => events.map((event) => (event.kind === "put" ? event.entry.key : event)))).toEqual([
    [],
    ["/a/ä", "/a/2", { kind: "delete", key: "/a/3", modRevision: 9 }],
  ]);
});

test.for([
  { line: { error: { grpc_code: 14, http_code: 503, message: "etcdserver: no leader" } }, failure: "unreachable" },
  { line: { error: { code: 7, message: "permission denied" } }, failure: "refused" },
  { line: { result: { header: HEADER, created: true, canceled: true, compact_revision: "8" } }, failure: "compacted" },
  { line: { result: { canceled: true, cancel_reason: "rpc error: PermissionDenied" } }, failure: "refused" },
  { line: "nonsense", failure: "failed" },
])("a watch ends with what is in it: $failure", async ({ line, failure }) => {
  const { client } = await gateway((_, response) => {
    response.end(typeof line === "string" ? `${line}\n` : `${JSON.stringify(line)}\n`);
  });
  const watch = watchRange(client, prefixRange("/a/"), { from: 3 });
  const toItsEnd = async () => {
    while (!(await watch.next()).done);
  };
  await expect(toItsEnd()).rejects.toMatchObject({ failure });
});

test("a token that has lapsed is renewed, and the call made again", async () => {
  let token = 0;
  const { client, requests } = await gateway(
    ({ path, token: sent }, response) => {
      if (path === "auth/authenticate") response.end(JSON.stringify({ header: HEADER, token: `t${++token}` }));
      else if (sent === "t1" && token === 1) {
        response.end(JSON.stringify({ header: HEADER, kvs: [], count: "0" }));
        token = 1.5;
      } else if (sent === "t1") refuse(response, { code: 16, message: "etcdserver: invalid auth token" });
      else response.end(JSON.stringify({ header: HEADER, kvs: [kv("/a/1")], count: "1" }));
    },
    { user: { name: "u", password: "secret" } },
  );
  expect((await readRange(client, prefixRange("/a/"))).entries).toEqual([]);
  expect((await readRange(client, prefixRange("/a/"))).entries).toHaveLength(1);
  expect(requests.map(({ path }) => path)).toEqual([
    "auth/authenticate",
    "kv/range",
    "kv/range",
    "auth/authenticate",
    "kv/range",
  ]);
});

test("a lease that cannot be kept says why, in the words of a stream", async () => {
  const { client } = await gateway((_, response) =>
    refuse(response, { error: { grpc_code: 7, http_code: 403, message: "etcdserver: permission denied" } }),
  );
  await expect(keepLease(client, "7")).rejects.toMatchObject({
    failure: "refused",
    message: expect.stringContaining("permission denied"),
  });
});

test("a wrong password is said, without it", async () => {
  const { client } = await gateway(
    (_, response) =>
      refuse(response, { code: 3, message: "etcdserver: authentication failed, invalid user ID or password" }),
    { user: { name: "u", password: "secret" } },
  );
  const failure = await readRange(client, prefixRange("/a/")).catch((error: unknown) => error);
  expect(failure).toMatchObject({ failure: "refused", code: "ETCD_REFUSED" });
  expect(JSON.stringify(failure) + String(failure)).not.toContain("secret");
});

test("where an endpoint has no leader, or nobody listens there, the next is asked", async () => {
  await using leaderless = await FakeGateway.start((_, response) =>
    refuse(response, { code: 14, message: "etcdserver: no leader" }),
  );
  const { client, requests } = await gateway((_, response) => response.end(JSON.stringify({ header: HEADER })), {}, [
    { host: "127.0.0.1", port: 1 },
    leaderless.endpoint,
  ]);
  for (let round = 0; round < 3; round++) await readRange(client, prefixRange("/a/"));
  expect(requests).toHaveLength(3);
});

test("a write that may have been carried out is not made twice", async () => {
  const cut = (_: GatewayRequest, response: ServerResponse) => response.destroy();
  await using other = await FakeGateway.start(cut);
  const { client, requests } = await gateway(cut, {}, [other.endpoint]);
  const write = commit(client, [{ kind: "put", key: "/a", value: "1" }], { doing: "write" });
  await expect(write).rejects.toMatchObject({ failure: "unreachable", mayHaveHappened: true });
  expect(requests.length + other.requests.length).toBe(1);
});

test("what is no etcd of today is named", async () => {
  const { client } = await gateway((_, response) => {
    response.statusCode = 404;
    response.end("Not Found");
  });
  await expect(readRange(client, prefixRange("/a/"))).rejects.toThrow(/etcd 3.4 or later/);
});

async function gateway(
  answer: (request: GatewayRequest, response: ServerResponse) => void,
  settings: Partial<EtcdSettings> = {},
  others: readonly EtcdEndpoint[] = [],
) {
  const fake = await FakeGateway.start(answer);
  onTestFinished(() => fake[Symbol.asyncDispose]());
  const client = new EtcdClient({ prefix: "/a", endpoints: [fake.endpoint, ...others], ...settings });
  onTestFinished(() => client.close());
  return { client, requests: fake.requests };
}

function refuse(response: ServerResponse, fault: object): void {
  response.statusCode = 503;
  response.end(JSON.stringify(fault));
}

function putEvent(key: string) {
  return { kv: kv(key) };
}

function kv(key: string) {
  return { key: encoded(key), value: encoded("v"), mod_revision: "9" };
}
