import { decodeSegment, encodeSegment } from "@svcproxy/topology";
import { type KeyRange, rangeBetween } from "./client/etcd-store.ts";

/*
 * What lies below the prefix: hosts/, services/, settings and endpoints/ as the topology has them; drains/ for what is taken out of use;
 * order for the order of the file; generation, and generations/ while a large `etcd put` is under way; status/ for what agents say of
 * themselves, which nobody watches: every agent would hear of every other.
 */

/** What followers read and watch: all that sorts before `status/`. */
export function followedRange(prefix: string): KeyRange {
  return rangeBetween(`${prefix}/`, `${prefix}/status/`);
}

export function statusKey(prefix: string, host: string): string {
  return `${prefix}/status/${encodeSegment(host)}`;
}

/** Which `etcd put` was last, and whether what it staged is in force. */
export function generationKey(prefix: string): string {
  return `${prefix}/generation`;
}

export function stagedPrefix(prefix: string): string {
  return `${prefix}/generations/`;
}

export function orderKey(prefix: string): string {
  return `${prefix}/order`;
}

/** The key by which an endpoint is taken out of use. */
export function drainKey(
  prefix: string,
  { namespace, service, endpoint }: { readonly namespace: string; readonly service: string; readonly endpoint: string },
): string {
  return `${prefix}/drains/${[namespace, service, endpoint].map(encodeSegment).join("/")}`;
}

/** @param path below the prefix */
export function parseDrainPath(path: string) {
  const [folder, ...segments] = path.split("/");
  const [namespace, service, endpoint] = segments.map(decodeSegment);
  if (folder !== "drains" || segments.length !== 3) return undefined;
  return namespace === undefined || service === undefined || endpoint === undefined
    ? undefined
    : { namespace, service, endpoint };
}

/** The value of `generation`. */
export interface Generation {
  /** Of the put. */
  readonly id: string;
  /** Whether what it staged covers what lies beside. */
  readonly isStaged: boolean;
}

export function renderGeneration({ id, isStaged }: Generation): string {
  return JSON.stringify({ id, staged: isStaged });
}

/** Anything that is not ours stands for nothing. */
export function parseGeneration(text: string | undefined): Generation | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("id" in value) || typeof value.id !== "string")
      return undefined;
    return { id: value.id, isStaged: "staged" in value && value.staged === true };
  } catch {
    return undefined;
  }
}
