import { expect, onTestFinished, test, vi } from "vitest";
import { EtcdClient } from "../client/etcd-client.ts";
import { prefixRange } from "../client/etcd-store.ts";
import { encoded, FakeGateway } from "../testing/fake-gateway.ts";
import { FOLLOW_TIMES, FollowedRange, type FollowTimes } from "./followed-range.ts";

test("a watch that tells nothing although there is news is given up, and all is read anew", async () => {
  let revision = 5;
  const header = () => ({ cluster_id: "1", revision: String(revision), raft_term: "2" });
  await using gateway = await FakeGateway.start(({ path, body }, response) => {
    if (path === "watch") {
      // It goes on for ever, and tells nothing.
      response.write(`${JSON.stringify({ result: { header: header(), created: true } })}\n`);
      return;
    }
    const { count_only: isCount } = JSON.parse(body);
    const kv = { key: encoded("/a/1"), value: encoded(`at ${revision}`), mod_revision: String(revision) };
    response.end(JSON.stringify({ header: header(), count: "1", ...(isCount === true ? {} : { kvs: [kv] }) }));
  });
  const { range, faults } = follow(gateway, { silenceMs: 40, catchUpMs: 10 });
  await vi.waitFor(() => expect(range.entries?.get("/a/1")?.value.toString()).toBe("at 5"));
  revision = 6;
  await vi.waitFor(() => expect(range.entries?.get("/a/1")?.value.toString()).toBe("at 6"));
  expect(faults).toEqual([]);
});

test("a watch that goes on where another one ended is checked, although it tells something", async () => {
  let isRemoved = false;
  let endFirst: (() => void) | undefined;
  const header = () => ({ cluster_id: "1", revision: isRemoved ? "6" : "5", raft_term: "2" });
  await using gateway = await FakeGateway.start(({ path, body }, response) => {
    if (path === "watch") {
      const tell = (what: object) => response.write(`${JSON.stringify({ result: { header: header(), ...what } })}\n`);
      tell({ created: true });
      // Of the removal it says nothing, but how far it is.
      const telling = setInterval(() => tell({}), 20);
      response.on("close", () => clearInterval(telling));
      if (!isRemoved) endFirst = () => response.end();
      return;
    }
    const { count_only: isCount } = JSON.parse(body);
    const kvs = isRemoved ? [] : [{ key: encoded("/a/1"), value: encoded("one"), mod_revision: "5" }];
    response.end(JSON.stringify({ header: header(), count: String(kvs.length), ...(isCount === true ? {} : { kvs }) }));
  });
  const { range, faults } = follow(gateway, { silenceMs: 1_000, catchUpMs: 10 });
  await vi.waitFor(() => expect(range.entries?.size).toBe(1));
  await vi.waitFor(() => expect(endFirst).toBeDefined());
  isRemoved = true;
  endFirst?.();
  await vi.waitFor(() => expect(range.entries?.size).toBe(0));
  expect(faults).toEqual([]);
});

function follow(gateway: FakeGateway, times: Partial<FollowTimes>) {
  const client = new EtcdClient({ endpoints: [gateway.endpoint], prefix: "/a" });
  onTestFinished(() => client.close());
  const faults: string[] = [];
  const range = new FollowedRange({
    ...{ client, range: prefixRange("/a/"), onState: () => {} },
    times: { ...FOLLOW_TIMES, ...times },
    onFault: ({ message }) => void faults.push(message),
  });
  const ending = new AbortController();
  const running = range.run(ending.signal);
  onTestFinished(async () => {
    ending.abort();
    await running;
  });
  return { range, faults };
}
