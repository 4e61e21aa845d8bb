import type { EtcdClient } from "./etcd-client.ts";
import { EtcdError } from "./etcd-error.ts";
import { type EtcdEntry, type EtcdHeader, type KeyRange, readEntry, readHeader } from "./etcd-store.ts";
import { type Answer, answerAt, answersAt, decodeBytes, numberAt, textAt } from "./gateway-values.ts";

/** One change of a key. */
export type EtcdEvent =
  | { readonly kind: "put"; readonly entry: EtcdEntry }
  | { readonly kind: "delete"; readonly key: string; readonly modRevision: number };

export interface EtcdChange {
  readonly header: EtcdHeader;
  /** Of whole revisions, in their order; none: a sign of life. */
  readonly events: readonly EtcdEvent[];
  /**
   * Up to which revision everything was told; undefined: that says nothing of it. The header has the store's, of which a watch that is
   * behind has not told yet.
   */
  readonly upTo: number | undefined;
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
    const header = readHeader(message);
    const last = parts.at(-1);
    const progress = message["created"] === true ? undefined : header.revision;
    yield { header, events: parts, upTo: last === undefined ? progress : revisionOf(last) };
    parts = [];
  }
}

function revisionOf(event: EtcdEvent): number {
  return event.kind === "put" ? event.entry.modRevision : event.modRevision;
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
