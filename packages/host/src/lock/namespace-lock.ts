import { readlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { EnvironmentError } from "@svcproxy/topology";
import { type Holder, LockFolder, type NamespaceLock } from "./lock-folder.ts";
import { makePrivateFolder, makeRuntimeDirectory } from "./runtime-directory.ts";

/** Pause before another try; where the holder lets nobody else wait it doubles up to the longest. */
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 500;

export interface LockName {
  /** What is locked, for instance `rules`: letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** A runtime directory that is there already; default: the one of user and environment. */
  readonly directory?: string | undefined;
}

export interface LockOptions extends LockName {
  readonly signal: AbortSignal;
  readonly waitMs: number;
  /** What the holder is at, as an error says it: `has been changing the rules of this network namespace`. */
  readonly deed: string;
  /** Called once, with the holder's pid, where there is somebody to wait for. */
  readonly onWait?: ((holder: number | undefined) => void) | undefined;
}

/** A lock of this network namespace, or who has it: their pid, as their PID namespace numbers it. */
export type LockAttempt =
  | { readonly kind: "locked"; readonly lock: NamespaceLock }
  | { readonly kind: "held"; readonly pid: number | undefined };

/**
 * Takes a lock of this network namespace if nobody has it.
 *
 * It is a unix socket in a folder that only this user can enter, named by the namespace: nobody else can take it or keep us
 * waiting. It goes away with its process and the tools that inherited it, kill -9 included.
 *
 * @throws EnvironmentError RUNTIME_DIRECTORY, OUT_OF_DESCRIPTORS
 */
export async function tryLockNamespace(name: LockName): Promise<LockAttempt> {
  const folder = await openLockFolder(name);
  for (;;) {
    const holder = await folder.findHolder();
    if (holder !== undefined) {
      holder.leave();
      return { kind: "held", pid: holder.pid };
    }
    const lock = await folder.tryTake();
    if (lock !== undefined) return { kind: "locked", lock };
  }
}

/**
 * Waits until nobody else has a lock of this network namespace, and takes it.
 *
 * @throws EnvironmentError LOCKED when `waitMs` are over, INTERRUPTED, RUNTIME_DIRECTORY, OUT_OF_DESCRIPTORS
 */
export async function lockNamespace({ signal, waitMs, deed, onWait, ...name }: LockOptions): Promise<NamespaceLock> {
  const deadline = AbortSignal.timeout(waitMs);
  const ended = AbortSignal.any([signal, deadline]);
  const folder = await openLockFolder(name);
  let last: Holder | undefined;
  let pauseMs = FIRST_PAUSE_MS;
  for (;;) {
    if (signal.aborted) {
      const waiting = last === undefined ? "" : " while waiting for another svcproxy";
      throw new EnvironmentError("INTERRUPTED", `Interrupted${waiting}`, { cause: signal.reason });
    }
    const holder = await folder.findHolder();
    if (holder === undefined) {
      const lock = await folder.tryTake();
      if (lock !== undefined) return lock;
      continue; // somebody was faster: now there is a holder
    }
    if (last === undefined) onWait?.(holder.pid);
    last = holder;
    if (deadline.aborted) {
      holder.leave();
      throw locked(holder.pid, { waitMs, deed });
    }
    const waitedMs = await holder.waitForEnd(ended);
    pauseMs = waitedMs < pauseMs ? Math.min(2 * pauseMs, LONGEST_PAUSE_MS) : FIRST_PAUSE_MS;
    await delay(pauseMs, undefined, { signal: ended }).catch(() => {});
  }
}

/**
 * Who has a lock in a runtime directory, which root may ask for although it is another user's.
 *
 * @returns undefined where nobody has it
 */
export async function findLockHolder(
  name: LockName & { readonly directory: string },
): Promise<{ readonly pid: number | undefined } | undefined> {
  const holder = await new LockFolder(await lockPath(name.directory, name.name), { isOurs: false }).findHolder();
  holder?.leave();
  return holder;
}

async function openLockFolder({ name, directory }: LockName): Promise<LockFolder> {
  const runtimeDirectory = directory ?? (await makeRuntimeDirectory());
  await makePrivateFolder(join(runtimeDirectory, "lock"));
  return new LockFolder(await lockPath(runtimeDirectory, name));
}

/** The namespace's inode tells it from all others that there are at this time. */
async function lockPath(runtimeDirectory: string, name: string): Promise<string> {
  const namespace = /\d+/.exec(await readlink("/proc/self/ns/net").catch(() => ""))?.[0] ?? "0";
  return join(runtimeDirectory, "lock", `${name}-${namespace}`);
}

function locked(holder: number | undefined, { waitMs, deed }: Pick<LockOptions, "waitMs" | "deed">): EnvironmentError {
  const who = holder === undefined ? "Another svcproxy" : `Another svcproxy (pid ${holder})`;
  return new EnvironmentError("LOCKED", `${who} ${deed} for ${waitMs / 1000} s`, {
    hint: "Wait until it is done, or end it, then try again",
  });
}
