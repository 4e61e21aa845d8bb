import { createHash } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { foldersOnTheWay } from "./folders-on-the-way.ts";

export interface FollowFileOptions {
  /** Called with what was read, once for each change of it, never while an earlier call is under way. Must not reject. */
  readonly onChange: (bytes: Buffer) => Promise<void>;
  /** Called once when the file cannot be read any more; the next change ends that state. */
  readonly onUnreadable: (error: unknown) => void;
  /** How long the file has to stay as it is before it is read: editors and copies write in steps. */
  readonly settleMs?: number;
  /** How often to look without being told: network file systems and full inotify tables tell nothing. */
  readonly pollMs?: number;
}

const SETTLE_MS = 100;
const POLL_MS = 2_000;

/**
 * Follows the content of one file, or of the files of one folder, by its path: written in place, replaced by rename (editors, `kubectl`, atomic writers),
 * removed and made again, or reached through symbolic links of which one is swapped (Kubernetes' ConfigMap volumes).
 *
 * Events only say that it is worth looking; what counts is the content, so an event too many or too few does no harm.
 */
export class FollowedFile {
  /** Resolves when it has had its first look; only what differs from that is reported. */
  readonly ready: Promise<void>;
  readonly #path: string;
  readonly #options: FollowFileOptions;
  readonly #settleMs: number;
  readonly #poll: NodeJS.Timeout;
  readonly #watchers = new Map<string, FSWatcher>();
  #settle: NodeJS.Timeout | undefined;
  #fingerprint: string | undefined;
  #isUnreadable = false;
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(path: string, options: FollowFileOptions) {
    this.#path = resolve(path);
    this.#options = options;
    this.#settleMs = options.settleMs ?? SETTLE_MS;
    this.#poll = setInterval(() => void this.#look(), options.pollMs ?? POLL_MS);
    this.ready = this.#look();
  }

  /** Resolves when no call of `onChange` is under way and none will follow. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#settle);
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    await this.#looking;
  }

  #look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#lookOnce());
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    if (this.#isClosed) return;
    const isFirst = this.#fingerprint === undefined && !this.#isUnreadable;
    this.#watchFolders(await foldersOnTheWay(this.#path));
    let file: ReadFile;
    try {
      file = await readWithAge(this.#path);
    } catch (error) {
      if (!this.#isUnreadable && !this.#isClosed) this.#options.onUnreadable(error);
      this.#isUnreadable = true;
      return;
    }
    const now = fingerprint(file.bytes);
    if (now === this.#fingerprint && !this.#isUnreadable) return;
    // Perhaps half written. A clock that differs (negative age) must not hold the change up.
    if (!isFirst && file.ageMs >= 0 && file.ageMs < this.#settleMs) {
      this.#lookWhenSettled();
      return;
    }
    this.#isUnreadable = false;
    this.#fingerprint = now;
    if (!isFirst && !this.#isClosed) await this.#options.onChange(file.bytes);
  }

  #watchFolders(folders: ReadonlyMap<string, string>): void {
    if (this.#isClosed) return;
    for (const [identity, watcher] of this.#watchers) {
      if (!folders.has(identity)) this.#unwatch(identity, watcher);
    }
    for (const [identity, folder] of folders) {
      if (!this.#watchers.has(identity)) this.#watch(identity, folder);
    }
  }

  #watch(identity: string, folder: string): void {
    try {
      const watcher = watch(folder, () => this.#lookWhenSettled());
      // A folder that is removed or unmounted; the poll finds its successor.
      watcher.on("error", () => this.#unwatch(identity, watcher));
      this.#watchers.set(identity, watcher);
    } catch {
      // No such folder any more, or no more watches to be had: the poll goes on.
    }
  }

  #unwatch(identity: string, watcher: FSWatcher): void {
    watcher.close();
    this.#watchers.delete(identity);
  }

  /** Not put off by further events: a busy folder must not keep a change from being seen. */
  #lookWhenSettled(): void {
    this.#settle ??= setTimeout(() => {
      this.#settle = undefined;
      void this.#look();
    }, this.#settleMs);
  }
}

interface ReadFile {
  readonly bytes: Buffer;
  /** Since its last modification. */
  readonly ageMs: number;
}

/** A folder reads as the names and contents of the files in it. */
async function readWithAge(path: string): Promise<ReadFile> {
  await using file = await open(path);
  const stats = await file.stat();
  if (!stats.isDirectory()) return { bytes: await file.readFile(), ageMs: Date.now() - stats.mtimeMs };
  const parts: Buffer[] = [];
  let ageMs = Number.POSITIVE_INFINITY;
  for (const name of (await readdir(path)).sort()) {
    const entry = await stat(join(path, name));
    if (!entry.isFile()) continue;
    ageMs = Math.min(ageMs, Date.now() - entry.mtimeMs);
    parts.push(Buffer.from(`${name}\0${entry.size}\0`), await readFile(join(path, name)));
  }
  return { bytes: Buffer.concat(parts), ageMs };
}

function fingerprint(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64");
}
