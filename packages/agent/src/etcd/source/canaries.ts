import { loadEntry } from "@svcproxy/topology";
import type { EtcdClient } from "../client/etcd-client.ts";
import { readKey } from "../client/etcd-store.ts";
import { statusKey } from "../etcd-layout.ts";
import type { CanarySettings, CanaryStatus } from "./canary-gate.ts";
import type { EffectiveEntries } from "./effective-entries.ts";

/** How long canaries have a change before the others, where the settings do not say. */
const DEFAULT_CANARY_SECONDS = 30;

/**
 * Who applies changes first, by `settings` below the prefix.
 *
 * @param ownHost that one waits for nobody, where it is one of them
 * @returns undefined where nobody does; `unreadable` where the settings do not say so in a way that can be read
 */
export function readCanarySettings(
  { entries }: EffectiveEntries,
  ownHost: string | undefined,
): CanarySettings | "unreadable" | undefined {
  const settings = entries.get("settings");
  if (settings === undefined) return undefined;
  let value: Readonly<Record<string, unknown>>;
  try {
    ({ value } = loadEntry({ key: settings.key, label: settings.stored.key, bytes: settings.stored.value }));
  } catch {
    // What is wrong with it is told where the topology is read.
    return "unreadable";
  }
  const { canaryHosts: listed, canarySeconds: seconds = DEFAULT_CANARY_SECONDS } = value;
  if (listed === undefined) return undefined;
  if (!Array.isArray(listed) || typeof seconds !== "number" || !(seconds >= 0)) return "unreadable";
  const hosts = listed.filter((host) => typeof host === "string");
  if (hosts.length === 0) return undefined;
  return ownHost !== undefined && hosts.includes(ownHost) ? undefined : { hosts, delayMs: seconds * 1_000 };
}

/** What canaries say of themselves. @throws EtcdError */
export async function readCanaryStatuses(
  client: EtcdClient,
  {
    prefix,
    hosts,
    signal,
  }: { readonly prefix: string; readonly hosts: readonly string[]; readonly signal: AbortSignal },
): Promise<readonly CanaryStatus[]> {
  return Promise.all(
    hosts.map(async (host) => {
      const { entry } = await readKey(client, statusKey(prefix, host), { signal });
      return { host, ...(entry === undefined ? {} : parseStatus(entry.value.toString("utf8"))) };
    }),
  );
}

/** The value of `status/HOST`. */
export function renderStatus({ revision, state }: { readonly revision: number; readonly state: string }): string {
  return JSON.stringify({ revision, state });
}

function parseStatus(text: string): Omit<CanaryStatus, "host"> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("revision" in value) || !("state" in value)) return {};
    const { revision, state } = value;
    return typeof revision === "number" && typeof state === "string" ? { revision, state } : {};
  } catch {
    return {};
  }
}
