import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { EtcdClient } from "../client/etcd-client.ts";
import { commit, type EtcdOperation, prefixRange, readRange } from "../client/etcd-store.ts";
import { ETCDS, RealEtcd, whyNoEtcd } from "../testing/real-etcd.ts";
import { FOLLOW_TIMES, FollowedRange, type FollowTimes } from "./followed-range.ts";

const reason = whyNoEtcd();
const doing = "write what the test needs";

describe.skipIf(reason !== undefined).for(ETCDS)(`with %s${reason === undefined ? "" : ` (${reason})`}`, (program) => {
  test("all keys come at one revision, in pages, and each change after it once", async () => {
    const { etcd, client } = await started(program);
    await fill(client, 5_000);
    const { entries, header } = await readRange(client, prefixRange("/svcproxy/"), { pageKeys: 700 });
    expect(entries.map(({ key }) => key)).toEqual(Array.from({ length: 5_000 }, (_, index) => keyOf(index)));
    expect(header.revision).toBeGreaterThan(1);
    const { range, told } = followed(etcd);
    await vi.waitFor(() => expect(range.entries?.size).toBe(5_000));
    const before = told.length;
    await commit(client, [put(0, "new"), { kind: "delete", key: keyOf(1) }, put(5_000, "more")], { doing });
    await vi.waitFor(() => expect(range.entries?.get(keyOf(5_000))?.value.toString()).toBe("more"));
    expect(range.entries?.has(keyOf(1))).toBe(false);
    expect(told.length).toBe(before + 1);
  });

  test("is right again after kill -9, with what was written meanwhile", async () => {
    const { etcd, client } = await started(program);
    await fill(client, 3);
    const { range, faults } = followed(etcd);
    await vi.waitFor(() => expect(range.entries?.size).toBe(3));
    await etcd.kill();
    await vi.waitFor(() => expect(faults.length).toBeGreaterThan(0));
    expect(range.entries?.size).toBe(3);
    await etcd.start();
    await commit(client, [put(3, "x")], { doing });
    await vi.waitFor(() => expect(range.entries?.size).toBe(4));
  });

  test("reads all anew where what comes next was compacted meanwhile", async () => {
    const { etcd, client } = await started(program);
    await fill(client, 3);
    const { range, faults } = followed(etcd);
    await vi.waitFor(() => expect(range.entries?.size).toBe(3));
    await etcd.kill();
    await vi.waitFor(() => expect(faults.length).toBeGreaterThan(0));
    await etcd.start();
    const revision = await commit(client, [{ kind: "delete", key: keyOf(0) }, put(7, "x")], { doing });
    await client.call("kv/compaction", { revision: String(revision) }, { doing });
    await vi.waitFor(() => expect([...(range.entries?.keys() ?? [])].sort()).toEqual([1, 2, 7].map(keyOf)));
  });

  test("a compaction during the watch takes nothing away", async () => {
    const { etcd, client } = await started(program);
    await fill(client, 3);
    const { range } = followed(etcd);
    await vi.waitFor(() => expect(range.entries?.size).toBe(3));
    const revision = await commit(client, [put(3, "x")], { doing });
    await client.call("kv/compaction", { revision: String(revision) }, { doing });
    await commit(client, [put(4, "x")], { doing });
    await vi.waitFor(() => expect(range.entries?.size).toBe(5));
  });

  test("is as an older snapshot was, and as nothing, once etcd is", async () => {
    const { etcd, client } = await started(program);
    await fill(client, 2);
    const snapshot = await etcd.snapshot();
    const { range } = followed(etcd);
    await vi.waitFor(() => expect(range.entries?.size).toBe(2));
    await commit(client, [put(2, "x"), put(0, "changed")], { doing });
    await vi.waitFor(() => expect(range.entries?.size).toBe(3));
    await etcd.restore(snapshot);
    await vi.waitFor(() => expect(range.entries?.get(keyOf(0))?.value.toString()).toBe("value 0"));
    expect(range.entries?.size).toBe(2);
    await etcd.restore();
    await vi.waitFor(() => expect(range.entries?.size).toBe(0));
  });

  test("one that falls silent is noticed, by a question that it does not answer", async () => {
    const { etcd, client } = await started(program);
    await fill(client, 1);
    const { range, faults } = followed(etcd, { times: { silenceMs: 500 } });
    await vi.waitFor(() => expect(range.entries?.size).toBe(1));
    const heard = range.lastHeard?.getTime() ?? 0;
    // While it is idle its answers are signs of life.
    await vi.waitFor(() => expect(range.lastHeard?.getTime()).toBeGreaterThan(heard));
    expect(faults).toEqual([]);
    etcd.pause();
    await vi.waitFor(() => expect(faults).toEqual([expect.stringContaining("it does not answer")]));
    etcd.goOn();
    await commit(client, [put(1, "x")], { doing });
    await vi.waitFor(() => expect(range.entries?.size).toBe(2));
  });
});

function keyOf(index: number): string {
  return `/svcproxy/k/${String(index).padStart(5, "0")}`;
}

function put(index: number, value: string): EtcdOperation {
  return { kind: "put", key: keyOf(index), value };
}

async function fill(client: EtcdClient, count: number): Promise<void> {
  for (let from = 0; from < count; from += 100) {
    const operations = Array.from({ length: Math.min(100, count - from) }, (_, index) =>
      put(from + index, `value ${from + index}`),
    );
    await commit(client, operations, { doing });
  }
}

async function started(program: string) {
  const etcd = await RealEtcd.start({ program });
  onTestFinished(() => etcd[Symbol.asyncDispose]());
  const client = etcd.client();
  onTestFinished(() => client.close());
  return { etcd, client };
}

function followed(etcd: RealEtcd, { times = {} }: { readonly times?: Partial<FollowTimes> } = {}) {
  const told: number[] = [];
  const faults: string[] = [];
  const client = etcd.client();
  const range: FollowedRange = new FollowedRange({
    client,
    range: prefixRange("/svcproxy/"),
    times: { ...FOLLOW_TIMES, firstRetryMs: 50, catchUpMs: 100, ...times },
    onState: () => void told.push(range.revision),
    onFault: ({ message }) => void faults.push(message),
  });
  const ending = new AbortController();
  const running = range.run(ending.signal);
  onTestFinished(async () => {
    ending.abort();
    await running;
    client.close();
  });
  return { range, told, faults };
}
