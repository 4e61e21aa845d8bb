import { InputError, inputError, joinTopology, type LoadedEntry, loadEntry } from "@svcproxy/topology";
import type { EtcdClient } from "../client/etcd-client.ts";
import { readRange } from "../client/etcd-store.ts";
import { followedRange } from "../etcd-layout.ts";
import { effectiveEntries } from "../source/effective-entries.ts";

/**
 * The entries below a prefix as a topology file; what registered itself is not in it.
 *
 * @param options.namespace services of this one alone
 * @throws InputError with every entry whose text cannot be read, or NO_ENTRIES; EtcdError
 */
export async function getEntries(
  client: EtcdClient,
  {
    prefix,
    namespace,
    signal,
  }: { readonly prefix: string; readonly namespace?: string | undefined; readonly signal: AbortSignal },
): Promise<Readonly<Record<string, unknown>>> {
  const { entries: stored } = await readRange(client, followedRange(prefix), { signal });
  const { entries, order } = effectiveEntries(stored, prefix);
  if (entries.size === 0) throw inputError("NO_ENTRIES", `There is nothing below ${prefix}/ in etcd`);
  const loaded: LoadedEntry[] = [];
  const faults: InputError["faults"][number][] = [];
  for (const { key, stored: entry } of entries.values()) {
    if (namespace !== undefined && key.kind === "service" && key.namespace !== namespace) continue;
    try {
      loaded.push(loadEntry({ key, label: `${entry.key} (revision ${entry.modRevision})`, bytes: entry.value }));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      faults.push(...error.faults);
    }
  }
  const [first, ...others] = faults;
  if (first !== undefined) throw new InputError([first, ...others]);
  return joinTopology(loaded, order);
}
