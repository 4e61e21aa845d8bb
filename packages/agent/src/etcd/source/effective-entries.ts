import { type EntryKey, type EntryOrder, parseEntryKey } from "@svcproxy/topology";
import type { EtcdEntry } from "../client/etcd-store.ts";
import { generationKey, orderKey, parseDrainPath, parseGeneration, stagedPrefix } from "../etcd-layout.ts";

/** An entry of the topology as it counts. */
export interface EffectiveEntry {
  readonly key: EntryKey;
  readonly stored: EtcdEntry;
}

/** What the keys below a prefix mean, once a put that is staged covers what lies beside it. */
export interface EffectiveEntries {
  /** Hosts, services and settings, by their path below the prefix. */
  readonly entries: ReadonlyMap<string, EffectiveEntry>;
  /** What registered itself, by its path below the prefix. */
  readonly endpoints: ReadonlyMap<string, EffectiveEntry>;
  readonly drains: readonly { readonly namespace: string; readonly service: string; readonly endpoint: string }[];
  readonly order: EntryOrder | undefined;
  /** Keys that mean nothing, with their whole name. */
  readonly strays: readonly string[];
  /** Whether a put was cut off between switching on what it staged and moving it to its place. */
  readonly isStaged: boolean;
}

/** An empty value: the staged put takes the entry away. */
export function isRemoval(value: Uint8Array): boolean {
  return value.length === 0;
}

interface ParsedKey {
  readonly path: string;
  readonly key: EntryKey | undefined;
}

/** An entry that stays is an object that stays: its key is read once. */
const PARSED_KEYS = new WeakMap<EtcdEntry, ParsedKey>();

function parsedKey(entry: EtcdEntry, prefix: string): ParsedKey {
  const known = PARSED_KEYS.get(entry);
  if (known !== undefined) return known;
  const path = entry.key.slice(prefix.length + 1);
  const parsed = { path, key: parseEntryKey(path) };
  PARSED_KEYS.set(entry, parsed);
  return parsed;
}

/** @param stored all that lies in `followedRange(prefix)` */
export function effectiveEntries(stored: Iterable<EtcdEntry>, prefix: string): EffectiveEntries {
  const entries = new Map<string, EffectiveEntry>();
  const endpoints = new Map<string, EffectiveEntry>();
  const drains: { namespace: string; service: string; endpoint: string }[] = [];
  const strays: string[] = [];
  const staged: EtcdEntry[] = [];
  let generation: string | undefined;
  let order: EntryOrder | undefined;
  for (const entry of stored) {
    const { path, key } = parsedKey(entry, prefix);
    if (key !== undefined) (key.kind === "endpoint" ? endpoints : entries).set(path, { key, stored: entry });
    else if (entry.key.startsWith(stagedPrefix(prefix))) staged.push(entry);
    else if (entry.key === generationKey(prefix)) generation = entry.value.toString("utf8");
    else if (entry.key === orderKey(prefix)) order = orderOf(entry);
    else {
      const drain = parseDrainPath(path);
      if (drain === undefined) strays.push(entry.key);
      else drains.push(drain);
    }
  }
  const { id, isStaged = false } = parseGeneration(generation) ?? {};
  if (isStaged) {
    const folder = `${stagedPrefix(prefix)}${id}/`;
    for (const entry of staged) {
      if (!entry.key.startsWith(folder)) continue;
      const path = entry.key.slice(folder.length);
      const key = parseEntryKey(path);
      if (path === "order") order = orderOf(entry);
      else if (isRemoval(entry.value)) entries.delete(path);
      else if (key !== undefined) entries.set(path, { key, stored: entry });
    }
  }
  return { entries, endpoints, drains, order, strays, isStaged };
}

/** The same object for the same entry. */
function orderOf(entry: EtcdEntry): EntryOrder | undefined {
  const order = PARSED_ORDERS.get(entry) ?? parseOrder(entry.value.toString("utf8"));
  if (order !== undefined) PARSED_ORDERS.set(entry, order);
  return order;
}

const PARSED_ORDERS = new WeakMap<EtcdEntry, EntryOrder>();

/** An order that cannot be read is none. */
function parseOrder(text: string): EntryOrder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    const texts = (list: unknown) => (Array.isArray(list) ? list.filter((item) => typeof item === "string") : []);
    return {
      hosts: texts("hosts" in value ? value.hosts : []),
      services: texts("services" in value ? value.services : []),
    };
  } catch {
    return undefined;
  }
}
