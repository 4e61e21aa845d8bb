import { isDeepStrictEqual } from "node:util";
import { type EntryOrder, InputError, loadEntry, renderEntry, type SplitTopology } from "@svcproxy/topology";
import type { EffectiveEntries, EffectiveEntry } from "../source/effective-entries.ts";

/** What becomes of one entry. */
export interface EntryChange {
  readonly kind: "add" | "change" | "remove";
  /** Below the prefix: `services/default/web`. */
  readonly path: string;
  /** As it is stored; absent where it is added. */
  readonly before?: string;
  /** As it will be, in YAML; absent where it is removed. */
  readonly after?: string;
}

/** What has to be written so that etcd holds what a file says. */
export interface PutPlan {
  readonly changes: readonly EntryChange[];
  /** Undefined: it stays. */
  readonly order?: { readonly value: string | undefined };
}

/** An order of more than this is left out, and hosts and services come by name. */
const MAX_ORDER_BYTES = 512 * 1024;

/** Compares by meaning: an entry that is written in another way is the same. */
export function planPut(
  { entries, order }: Pick<SplitTopology, "entries" | "order">,
  stored: EffectiveEntries,
): PutPlan {
  const changes: EntryChange[] = [];
  for (const [path, value] of entries) {
    const before = stored.entries.get(path);
    const after = renderEntry(value);
    if (before === undefined) changes.push({ kind: "add", path, after });
    else if (!isDeepStrictEqual(storedValue(before), value))
      changes.push({ kind: "change", path, before: textOf(before), after });
  }
  for (const [path, before] of stored.entries) {
    if (!entries.has(path)) changes.push({ kind: "remove", path, before: textOf(before) });
  }
  return { changes, ...orderChange(order, stored.order) };
}

/** The services that a put takes away, as `services/NAMESPACE/NAME`. */
export function removedServices({ changes }: PutPlan): readonly string[] {
  return changes.filter(({ kind, path }) => kind === "remove" && path.startsWith("services/")).map(({ path }) => path);
}

function orderChange(wanted: EntryOrder | undefined, stored: EntryOrder | undefined): Pick<PutPlan, "order"> {
  const value = wanted === undefined ? undefined : JSON.stringify(wanted);
  const kept = value === undefined || Buffer.byteLength(value) > MAX_ORDER_BYTES ? undefined : value;
  const before = stored === undefined ? undefined : JSON.stringify(stored);
  return kept === before ? {} : { order: { value: kept } };
}

function textOf({ stored }: EffectiveEntry): string {
  return stored.value.toString("utf8");
}

/** Undefined where it cannot be read: then whatever is written is another. */
function storedValue({ key, stored }: EffectiveEntry): unknown {
  try {
    return loadEntry({ key, label: stored.key, bytes: stored.value }).value;
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
