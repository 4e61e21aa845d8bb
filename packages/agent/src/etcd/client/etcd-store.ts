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
  textAt,
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

/** How many keys a range has, and how many of them changed after a revision: what a watch must have told. */
export interface RangeNews {
  readonly header: EtcdHeader;
  readonly keys: number;
  readonly newer: number;
}

/** Cheap for the way between: no key and no value comes back but of one that is newer. @throws EtcdError */
export async function askForNews(
  client: EtcdClient,
  { name, key, range_end }: KeyRange,
  { after, signal }: { readonly after: number; readonly signal?: AbortSignal },
): Promise<RangeNews> {
  const body = { key, range_end, min_mod_revision: String(after + 1), keys_only: true, limit: "1" };
  const answer = await client.call("kv/range", body, { doing: `read ${name}`, ...(signal && { signal }) });
  return { header: readHeader(answer), keys: numberAt(answer, "count"), newer: answersAt(answer, "kvs").length };
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

/** @returns the lease's number @throws EtcdError */
export async function grantLease(
  client: EtcdClient,
  { ttlSeconds, signal }: { readonly ttlSeconds: number; readonly signal?: AbortSignal },
): Promise<string> {
  const answer = await client.call(
    "lease/grant",
    { TTL: String(ttlSeconds) },
    { doing: "get a lease", ...(signal && { signal }) },
  );
  return int64At(answer, "ID");
}

/** @returns whether it lives: false where it has lapsed @throws EtcdError */
export async function keepLease(client: EtcdClient, lease: string, signal?: AbortSignal): Promise<boolean> {
  const options = { doing: "keep a lease", ...(signal && { signal }) };
  const answer = await client.call("lease/keepalive", { ID: lease }, options);
  return numberAt(answerAt(answer, "result"), "TTL") > 0;
}

/** Its keys go with it; one that has lapsed is no fault. @throws EtcdError */
export async function revokeLease(client: EtcdClient, lease: string, signal?: AbortSignal): Promise<void> {
  try {
    await client.call("lease/revoke", { ID: lease }, { doing: "give a lease back", ...(signal && { signal }) });
  } catch (error) {
    if (!(error instanceof EtcdError) || error.failure !== "no-lease") throw error;
  }
}

/** One change of a key. */
export type EtcdEvent =
  | { readonly kind: "put"; readonly entry: EtcdEntry }
  | { readonly kind: "delete"; readonly key: string; readonly modRevision: number };

export interface EtcdChange {
  readonly header: EtcdHeader;
  /** Of whole revisions, in their order; none: a sign of life. */
  readonly events: readonly EtcdEvent[];
}

/**
 * What becomes of the keys of a range from a revision on, until the stream breaks.
 *
 * @throws EtcdError `compacted` where that revision is gone; whatever ends it otherwise
 */
export async function* watchRange(
  client: EtcdClient,
  { name, key, range_end }: KeyRange,
  { from, signal }: { readonly from: number; readonly signal?: AbortSignal },
): AsyncGenerator<EtcdChange, void, undefined> {
  const body = {
    create_request: { key, range_end, start_revision: String(from), fragment: true, progress_notify: true },
  };
  const doing = `watch ${name}`;
  let parts: EtcdEvent[] = [];
  for await (const message of client.stream("watch", body, { doing, ...(signal && { signal }) })) {
    if (message["canceled"] === true) throw cancelled(client, message, doing);
    parts.push(...answersAt(message, "events").map(readEvent));
    // The events of one revision may come in several messages.
    if (message["fragment"] === true) continue;
    yield { header: readHeader(message), events: parts };
    parts = [];
  }
}

function readEvent(event: Answer): EtcdEvent {
  const kv = answerAt(event, "kv");
  if (textAt(event, "type") !== "DELETE") return { kind: "put", entry: readEntry(kv) };
  return {
    kind: "delete",
    key: decodeBytes(kv, "key").toString("utf8"),
    modRevision: numberAt(kv, "mod_revision"),
  };
}

function cancelled(client: EtcdClient, message: Answer, doing: string): EtcdError {
  const compacted = numberAt(message, "compact_revision");
  if (compacted > 0)
    return new EtcdError("compacted", `Cannot ${doing} in etcd: revisions before ${compacted} are compacted`);
  const reason = textAt(message, "cancel_reason");
  if (/token|user name|Unauthenticated|auth store/.test(reason)) {
    client.forgetToken();
    return new EtcdError("unreachable", `Cannot ${doing} in etcd: ${reason}`);
  }
  if (/PermissionDenied|permission denied/.test(reason)) {
    return new EtcdError("refused", `Cannot ${doing} in etcd: ${reason}`, {
      hint: "Let the user read it: etcdctl role grant-permission ROLE --prefix=true read PREFIX",
    });
  }
  return new EtcdError("unreachable", `Cannot ${doing} in etcd: ${reason === "" ? "it ended the watch" : reason}`);
}
