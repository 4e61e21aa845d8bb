import { renderEntry, splitTopology } from "@svcproxy/topology";
import type { EtcdClient } from "../client/etcd-client.ts";
import { commit, type EtcdOperation } from "../client/etcd-store.ts";

/** Writes the entries of a topology text in one transaction, for tests of whoever follows them. */
export async function putText(client: EtcdClient, text: string, prefix = "/svcproxy"): Promise<number> {
  const { entries } = splitTopology({ file: "test.yaml", bytes: Buffer.from(text) });
  const operations: EtcdOperation[] = [];
  const keys = new Set([...entries.keys()].map((path) => `${prefix}/${path}`));
  for (const [path, value] of entries)
    operations.push({ kind: "put", key: `${prefix}/${path}`, value: renderEntry(value) });
  const { readRange, prefixRange } = await import("../client/etcd-store.ts");
  const { entries: stored } = await readRange(client, prefixRange(`${prefix}/`));
  for (const { key } of stored) if (!keys.has(key)) operations.push({ kind: "delete", key });
  const revision = await commit(client, operations, { doing: "write the test's entries" });
  if (revision === undefined) throw new Error("nothing was written");
  return revision;
}
