import { readFile } from "node:fs/promises";
import { findLockHolder } from "../lock/namespace-lock.ts";
import { findRuntimeDirectory } from "../lock/runtime-directory.ts";

/** Where a userspace proxy has its lock, below the runtime directory, and the name of that of the only one. */
export const PROXY_FOLDER = "userspace";
export const PROXY_LOCK = "userspace-default";

/** The userspace proxy that serves in this network namespace, with its workers; empty: there is none. */
export async function ownProxyPids(): Promise<ReadonlySet<number>> {
  const directory = await findRuntimeDirectory({ below: PROXY_FOLDER });
  const holder = directory === undefined ? undefined : await findLockHolder({ name: PROXY_LOCK, directory });
  if (holder?.pid === undefined) return new Set();
  const { pid } = holder;
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return new Set([pid, ...children.split(" ").filter(Boolean).map(Number)]);
}
