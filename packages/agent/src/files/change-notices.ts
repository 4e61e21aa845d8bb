import { type FSWatcher, watch } from "node:fs";
import { basename } from "node:path";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";

/** What may have changed: entries of followed directories by their names, or anything. */
export type ChangeHint = "anything" | ReadonlySet<string>;

/** A folder to be told about. */
export interface WatchedFolder {
  readonly folder: string;
  /** Entries on the way to what is followed: with one of them anything may change. */
  readonly names: ReadonlySet<string>;
  /** Entries that are followed as such. */
  readonly entries?: RegExp;
}

export interface WaitLimits {
  readonly signal: AbortSignal;
  /** Not before this long, whatever comes meanwhile. */
  readonly leastMs: number;
  /** No longer than this, also where nothing comes; absent: as long as it takes. */
  readonly mostMs?: number;
}

/** Events come by the dozen: one write of a file is several. */
const GATHER_MS = 5;

/** What was done to entries of one name. */
interface Events {
  /** Names that an entry came to, or left. */
  readonly moved: Set<string>;
  /** Names whose entry was written, or its times or mode changed. */
  readonly written: Set<string>;
}

/** Tells when it is worth looking at files again. Events only say so; what counts is what is found, so that one too many or too few does no harm. */
export class ChangeNotices {
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; wanted: WatchedFolder }>();
  #pending: "anything" | Set<string> | undefined;
  /** Those that belong to the hint that was given last, and those after it. */
  #events: Events = noEvents();
  #laterEvents: Events = noEvents();
  #wake: () => void = () => {};
  readonly #later = new Set<NodeJS.Timeout>();

  /** @param folders by `device:inode`: one made anew under the old name is another one */
  watch(folders: ReadonlyMap<string, WatchedFolder>): void {
    for (const identity of this.#watchers.keys()) if (!folders.has(identity)) this.#unwatch(identity);
    for (const [identity, wanted] of folders) {
      const known = this.#watchers.get(identity);
      if (known === undefined) this.#watchFolder(identity, wanted);
      else known.wanted = wanted;
    }
  }

  #watchFolder(identity: string, wanted: WatchedFolder): void {
    try {
      const watcher = watch(wanted.folder, (event, name) => this.#noticed(identity, { event, name }));
      // A folder that is removed or unmounted; whoever looks from time to time finds its successor.
      watcher.on("error", () => this.#unwatch(identity));
      this.#watchers.set(identity, { watcher, wanted });
    } catch {
      // No such folder any more, or no more watches to be had.
    }
  }

  #unwatch(identity: string): void {
    this.#watchers.get(identity)?.watcher.close();
    this.#watchers.delete(identity);
  }

  #noticed(identity: string, { event, name }: { event: "rename" | "change"; name: string | null }): void {
    const wanted = this.#watchers.get(identity)?.wanted;
    if (wanted === undefined) return;
    if (name !== null) {
      for (const { moved, written } of [this.#events, this.#laterEvents])
        (event === "rename" ? moved : written).add(name);
    }
    if (name === null || wanted.names.has(name) || name === basename(wanted.folder)) this.say("anything");
    else if (wanted.entries?.test(name) === true) this.say(new Set([name]));
  }

  /** It is worth looking. */
  say(hint: ChangeHint): void {
    if (hint === "anything") this.#pending = hint;
    else if (this.#pending === undefined) this.#pending = new Set(hint);
    else if (this.#pending !== "anything") for (const name of hint) this.#pending.add(name);
    this.#wake();
  }

  /** It will be worth looking. */
  sayLater(hint: ChangeHint, delayMs: number): void {
    const timer = setTimeout(() => {
      this.#later.delete(timer);
      this.say(hint);
    }, delayMs);
    this.#later.add(timer);
  }

  /** Waits until it is worth looking; at once where it has been said since the last call. Undefined where the signal ended it. */
  async next({ signal, leastMs, mostMs }: WaitLimits): Promise<ChangeHint | undefined> {
    const startedAtMs = performance.now();
    if (this.#pending === undefined) await this.#untilSaid(signal, mostMs);
    const restMs = leastMs - (performance.now() - startedAtMs);
    await sleep(Math.max(GATHER_MS, restMs), undefined, { signal }).catch(() => {});
    if (signal.aborted) return undefined;
    const hint = this.#pending ?? "anything";
    this.#pending = undefined;
    this.#events = this.#laterEvents;
    this.#laterEvents = noEvents();
    return hint;
  }

  /**
   * Whether the entry of this name came here with its content, by a rename or a link: whoever makes it here and then writes is seen writing.
   * Ask when it has been read.
   */
  async cameWhole(name: string): Promise<boolean> {
    // What was done before this moment is told within one turn of the event loop.
    await nextTurn();
    await nextTurn();
    return this.#events.moved.has(name) && !this.#events.written.has(name);
  }

  async #untilSaid(signal: AbortSignal, mostMs: number | undefined): Promise<void> {
    const said = Promise.withResolvers<void>();
    const timer = mostMs === undefined ? undefined : setTimeout(said.resolve, mostMs);
    this.#wake = said.resolve;
    signal.addEventListener("abort", () => said.resolve(), { once: true });
    if (!signal.aborted) await said.promise;
    clearTimeout(timer);
    this.#wake = () => {};
  }

  [Symbol.dispose](): void {
    for (const identity of this.#watchers.keys()) this.#unwatch(identity);
    for (const timer of this.#later) clearTimeout(timer);
    this.#later.clear();
  }
}

function noEvents(): Events {
  return { moved: new Set(), written: new Set() };
}
