import { setTimeout as delay } from "node:timers/promises";
import { repeat } from "@svcproxy/host";
import type { EtcdClient } from "../client/etcd-client.ts";
import { EtcdError } from "../client/etcd-error.ts";
import {
  askForNews,
  countKeys,
  type EtcdEntry,
  type EtcdHeader,
  type KeyRange,
  type RangeNews,
  readRange,
} from "../client/etcd-store.ts";
import { type EtcdChange, watchRange } from "../client/etcd-watch.ts";

export interface FollowTimes {
  /** An idle watch is checked after this long without a word. */
  readonly silenceMs: number;
  /** How long what a check found newer may take to come by the watch. */
  readonly catchUpMs: number;
  readonly firstRetryMs: number;
  readonly longestRetryMs: number;
}

export const FOLLOW_TIMES: FollowTimes = {
  silenceMs: 30_000,
  catchUpMs: 2_000,
  firstRetryMs: 1_000,
  longestRetryMs: 30_000,
};

export interface FollowedRangeOptions {
  readonly client: EtcdClient;
  readonly range: KeyRange;
  readonly times: FollowTimes;
  /** There is another state, or the same again after a fault; `isAnew`: the range was read once more, whatever the watch told before. */
  readonly onState: (how: { readonly isAnew: boolean }) => void;
  /** A key is gone: the watch told what it was last. */
  readonly onRemoved?: (entry: EtcdEntry) => void;
  /** It can't be followed now; it is tried again. */
  readonly onFault: (error: EtcdError) => void;
}

/** The watch is to begin again, from the whole range or from where it was. */
class WatchBroken extends Error {
  readonly needsRange: boolean;

  constructor(message: string, { needsRange }: { readonly needsRange: boolean }) {
    super(message);
    this.needsRange = needsRange;
  }
}

/**
 * The keys of a range, followed: the whole range at one revision, then a watch from the next. Where etcd is another one or an older one than
 * before, has compacted what comes next, or knows of changes that the watch does not tell, the range is read anew.
 */
export class FollowedRange {
  readonly #options: FollowedRangeOptions;
  readonly #entries = new Map<string, EtcdEntry>();
  #header: EtcdHeader | undefined;
  #lastHeard: Date | undefined;
  #failures = 0;
  #isConnected = false;

  constructor(options: FollowedRangeOptions) {
    this.#options = options;
  }

  /** Undefined before the first range came whole. */
  get entries(): ReadonlyMap<string, EtcdEntry> | undefined {
    return this.#header === undefined ? undefined : this.#entries;
  }

  /** Up to where everything is known. */
  get revision(): number {
    return this.#header?.revision ?? 0;
  }

  get lastHeard(): Date | undefined {
    return this.#lastHeard;
  }

  /** Until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    let needsRange = true;
    while (!signal.aborted) {
      try {
        needsRange ||= await this.#isOtherStore(signal);
        const isResumed = !needsRange;
        if (isResumed) this.#connected({ isAnew: false });
        else await this.#readAnew(signal);
        needsRange = false;
        await this.#watch(signal, { isResumed });
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof WatchBroken) needsRange ||= error.needsRange;
        else if (error instanceof EtcdError && (error.failure === "compacted" || error.failure === "future"))
          needsRange = true;
        else if (error instanceof EtcdError) await this.#failed(error, signal);
        // What nobody expected ends nothing: it is told, and tried again.
        else
          await this.#failed(new EtcdError("failed", `Cannot follow etcd: ${String(error)}`, { cause: error }), signal);
      }
    }
  }

  async #failed(error: EtcdError, signal: AbortSignal): Promise<void> {
    const { times, onFault } = this.#options;
    // The end of a watch that was whole is no fault until it cannot be begun again.
    if (!this.#isConnected || error.failure !== "unreachable") onFault(error);
    const wasConnected = this.#isConnected;
    this.#isConnected = false;
    const ms = wasConnected ? 0 : Math.min(times.longestRetryMs, times.firstRetryMs * 2 ** this.#failures++);
    // Hundreds of hosts lose the same etcd at the same moment.
    await delay(ms * (0.75 + Math.random() / 2) + Math.random() * 100, undefined, { signal }).catch(() => {});
  }

  #connected(how: { readonly isAnew: boolean }): void {
    this.#heard();
    this.#isConnected = true;
    this.#options.onState(how);
  }

  #heard(): void {
    this.#lastHeard = new Date();
  }

  async #isOtherStore(signal: AbortSignal): Promise<boolean> {
    const { client, range } = this.#options;
    return isOther((await countKeys(client, range, { signal })).header, this.#header);
  }

  async #readAnew(signal: AbortSignal): Promise<void> {
    const { client, range } = this.#options;
    const { header, entries } = await readRange(client, range, { signal });
    const isAnew = this.#header !== undefined;
    const before = new Map(this.#entries);
    this.#entries.clear();
    for (const entry of entries) {
      const known = before.get(entry.key);
      // The same object where it is the same entry: what was read of it is kept by it.
      const isSame = known?.modRevision === entry.modRevision && known.value.equals(entry.value);
      this.#entries.set(entry.key, isSame ? known : entry);
    }
    this.#header = header;
    this.#connected({ isAnew });
  }

  /**
   * @param isResumed what came next was missed at first. Of that, the etcd of many distributions leaves out a removal at whose revision it was
   * compacted, so that such a watch is checked once although it tells something.
   * @see https://github.com/etcd-io/etcd/issues/18089
   */
  async #watch(signal: AbortSignal, { isResumed }: { readonly isResumed: boolean }): Promise<void> {
    const { client, range, times } = this.#options;
    using ending = new Ending(signal);
    let isChecking = false;
    let isInDoubt = isResumed;
    const check = repeat(
      async () => {
        const silentMs = Date.now() - (this.#lastHeard?.getTime() ?? 0);
        if (isChecking || (!isInDoubt && silentMs < times.silenceMs)) return;
        isInDoubt = false;
        isChecking = true;
        try {
          await this.#checkWatch(ending.signal);
        } catch (error) {
          ending.abort(error);
        } finally {
          isChecking = false;
        }
      },
      { everyMs: Math.min(5_000, times.silenceMs / 4), onFault: (error) => ending.abort(error) },
    );
    try {
      for await (const change of watchRange(client, range, { from: this.revision + 1, signal: ending.signal }))
        this.#take(change);
      throw new EtcdError("unreachable", `The watch of ${range.name} in etcd ended`);
    } finally {
      clearInterval(check);
    }
  }

  #take({ header, events, upTo }: EtcdChange): void {
    this.#heard();
    this.#failures = 0;
    // A member may lag behind the one that was asked before: its revision and term say nothing here.
    if (header.clusterId !== this.#header?.clusterId)
      throw new WatchBroken("etcd is another one than before", { needsRange: true });
    for (const event of events) {
      if (event.kind === "put") this.#entries.set(event.entry.key, event.entry);
      else this.#remove(event.key);
    }
    if (upTo !== undefined && upTo > this.revision) this.#header = { ...this.#header, revision: upTo };
    if (events.length > 0) this.#options.onState({ isAnew: false });
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined && this.#entries.delete(key)) this.#options.onRemoved?.(entry);
  }

  /** @throws WatchBroken where the watch keeps something from us; EtcdError where etcd does not answer */
  async #checkWatch(signal: AbortSignal): Promise<void> {
    const { client, range, times } = this.#options;
    const ask = () => askForNews(client, range, { after: this.revision, signal });
    let news = await ask();
    if (isOther(news.header, this.#header))
      throw new WatchBroken("etcd is another one than before", { needsRange: true });
    if (!this.#agrees(news)) {
      await delay(times.catchUpMs, undefined, { signal });
      news = await ask();
      if (!this.#agrees(news))
        throw new WatchBroken("the watch is silent about what has changed", { needsRange: true });
    }
    if (news.header.revision > this.revision) this.#header = news.header;
    this.#heard();
  }

  #agrees({ keys, hasNewer }: RangeNews): boolean {
    return !hasNewer && keys === this.#entries.size;
  }
}

/** Whether it is another cluster, or the same from an older snapshot: revisions and terms never go back. */
function isOther(now: EtcdHeader, before: EtcdHeader | undefined): boolean {
  if (before === undefined) return true;
  return now.clusterId !== before.clusterId || now.revision < before.revision || now.raftTerm < before.raftTerm;
}

/** A signal that follows another one, and can be aborted alone with a reason. */
class Ending implements Disposable {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #follow = () => this.#controller.abort(this.#outer.reason);

  constructor(outer: AbortSignal) {
    this.#outer = outer;
    outer.addEventListener("abort", this.#follow, { once: true });
    if (outer.aborted) this.#follow();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    this.#outer.removeEventListener("abort", this.#follow);
    this.#controller.abort();
  }
}
