import type { EtcdClient } from "./etcd-client.ts";
import { EtcdError } from "./etcd-error.ts";
import {
  type Answer,
  answerAt,
  answersAt,
  decodeBytes,
  encodeText,
  endOfPrefix,
  int64At,
  numberAt,
} from "./gateway-values.ts";

/** What every answer of etcd begins with. */
export interface EtcdHeader {
  readonly clusterId: string;
  /** Of the whole store. */
  readonly revision: number;
  readonly raftTerm: number;
}

/** A key as it is. */
export interface EtcdEntry {
  readonly key: string;
  readonly value: Buffer;
  /** Of its last change. */
  readonly modRevision: number;
  /** "0": none. */
  readonly lease: string;
}

/** Keys that stand side by side. */
export interface KeyRange {
  /** For people: what they begin with. */
  readonly name: string;
  /** In base64, as the gateway takes them. */
  readonly key: string;
  readonly range_end: string;
}

/** All keys that begin with `prefix`. */
export function prefixRange(prefix: string): KeyRange {
  return { name: prefix, key: encodeText(prefix), range_end: endOfPrefix(prefix) };
}

/** All keys from `from` on, and before `to`. */
export function rangeBetween(from: string, to: string): KeyRange {
  return { name: from, key: encodeText(from), range_end: encodeText(to) };
}

/** All keys of a range at one revision. */
export interface EtcdRange {
  readonly header: EtcdHeader;
  readonly entries: readonly EtcdEntry[];
}

export function readHeader(answer: Answer): EtcdHeader {
  const header = answerAt(answer, "header");
  return {
    clusterId: int64At(header, "cluster_id"),
    revision: numberAt(header, "revision"),
    raftTerm: numberAt(header, "raft_term"),
  };
}

export function readEntry(kv: Answer): EtcdEntry {
  return {
    key: decodeBytes(kv, "key").toString("utf8"),
    value: decodeBytes(kv, "value"),
    modRevision: numberAt(kv, "mod_revision"),
    lease: int64At(kv, "lease"),
  };
}

const PAGE_KEYS = 2_000;
/** A compaction between two pages begins the range anew. */
const ATTEMPTS = 3;

/** All keys of a range, in their order, at one revision although they come in pages. @throws EtcdError */
export async function readRange(
  client: EtcdClient,
  range: KeyRange,
  { signal, pageKeys = PAGE_KEYS }: { readonly signal?: AbortSignal; readonly pageKeys?: number } = {},
): Promise<EtcdRange> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readPages(client, range, { pageKeys, ...(signal && { signal }) });
    } catch (error) {
      if (attempt === ATTEMPTS || !(error instanceof EtcdError) || error.failure !== "compacted") throw error;
    }
  }
}

async function readPages(
  client: EtcdClient,
  { name, key: first, range_end }: KeyRange,
  { pageKeys, ...options }: { readonly pageKeys: number; readonly signal?: AbortSignal },
): Promise<EtcdRange> {
  const entries: EtcdEntry[] = [];
  let key = first;
  let header: EtcdHeader | undefined;
  for (;;) {
    const at = header === undefined ? {} : { revision: String(header.revision) };
    const body = { key, range_end, limit: String(pageKeys), ...at };
    const answer = await client.call("kv/range", body, { doing: `read ${name}`, ...options });
    header ??= readHeader(answer);
    entries.push(...answersAt(answer, "kvs").map(readEntry));
    const last = entries.at(-1);
    if (answer["more"] !== true || last === undefined) return { header, entries };
    key = Buffer.from(`${last.key}\0`, "utf8").toString("base64");
  }
}

/** @returns undefined where there is no such key */
export async function readKey(
  client: EtcdClient,
  key: string,
  options: { readonly signal?: AbortSignal; readonly revision?: number } = {},
): Promise<{ readonly header: EtcdHeader; readonly entry: EtcdEntry | undefined }> {
  const { revision, ...rest } = options;
  const body = { key: encodeText(key), ...(revision === undefined ? {} : { revision: String(revision) }) };
  const answer = await client.call("kv/range", body, { doing: `read ${key}`, ...rest });
  const [entry] = answersAt(answer, "kvs").map(readEntry);
  return { header: readHeader(answer), entry };
}

/** How etcd stands, and how many keys a range has: cheap for etcd and for the way. @throws EtcdError */
export async function countKeys(
  client: EtcdClient,
  { name, key, range_end }: KeyRange,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<{ readonly header: EtcdHeader; readonly keys: number }> {
  const options = { doing: `read ${name}`, ...(signal && { signal }) };
  const answer = await client.call("kv/range", { key, range_end, count_only: true }, options);
  return { header: readHeader(answer), keys: numberAt(answer, "count") };
}

/** How many keys a range has, and whether any of them changed after a revision: what a watch must have told. */
export interface RangeNews {
  readonly header: EtcdHeader;
  readonly keys: number;
  readonly hasNewer: boolean;
}

/** Where the store has changed since, etcd has to look at each key for that. @throws EtcdError */
export async function askForNews(
  client: EtcdClient,
  range: KeyRange,
  { after, signal }: { readonly after: number; readonly signal?: AbortSignal },
): Promise<RangeNews> {
  const counted = await countKeys(client, range, signal === undefined ? {} : { signal });
  if (counted.header.revision === after) return { ...counted, hasNewer: false };
  const { name, key, range_end } = range;
  const body = { key, range_end, min_mod_revision: String(after + 1), keys_only: true, limit: "1" };
  const answer = await client.call("kv/range", body, { doing: `read ${name}`, ...(signal && { signal }) });
  const hasNewer = answersAt(answer, "kvs").length > 0;
  return { header: readHeader(answer), keys: numberAt(answer, "count"), hasNewer };
}

/** One part of a transaction. */
export type EtcdOperation =
  | { readonly kind: "put"; readonly key: string; readonly value: string; readonly lease?: string }
  | { readonly kind: "delete"; readonly key: string }
  | { readonly kind: "delete-prefix"; readonly prefix: string };

/** What must hold for a transaction to be carried out. */
export type EtcdCondition =
  /** 0: there is no such key. */
  | { readonly kind: "unchanged"; readonly key: string; readonly modRevision: number }
  /** Nothing below the prefix has changed after that revision. */
  | { readonly kind: "prefix-unchanged"; readonly prefix: string; readonly since: number };

/** @returns the revision that it made; undefined where a condition did not hold @throws EtcdError */
export async function commit(
  client: EtcdClient,
  operations: readonly EtcdOperation[],
  {
    conditions = [],
    doing,
    signal,
    isOnce = true,
  }: {
    readonly conditions?: readonly EtcdCondition[];
    readonly doing: string;
    readonly signal?: AbortSignal;
    readonly isOnce?: boolean;
  },
): Promise<number | undefined> {
  const body = { compare: conditions.map(encodeCondition), success: operations.map(encodeOperation) };
  const answer = await client.call("kv/txn", body, { doing, isOnce, ...(signal && { signal }) });
  return answer["succeeded"] === true ? readHeader(answer).revision : undefined;
}

function encodeOperation(operation: EtcdOperation): Answer {
  switch (operation.kind) {
    case "put": {
      const { key, value, lease } = operation;
      const put = { key: encodeText(key), value: encodeText(value), ...(lease === undefined ? {} : { lease }) };
      return { request_put: put };
    }
    case "delete":
      return { request_delete_range: { key: encodeText(operation.key) } };
    case "delete-prefix": {
      const { prefix } = operation;
      return { request_delete_range: { key: encodeText(prefix), range_end: endOfPrefix(prefix) } };
    }
  }
}

function encodeCondition(condition: EtcdCondition): Answer {
  if (condition.kind === "unchanged") {
    const { key, modRevision } = condition;
    return { key: encodeText(key), target: "MOD", result: "EQUAL", mod_revision: String(modRevision) };
  }
  const { prefix, since } = condition;
  const range = { key: encodeText(prefix), range_end: endOfPrefix(prefix) };
  return { ...range, target: "MOD", result: "LESS", mod_revision: String(since + 1) };
}
