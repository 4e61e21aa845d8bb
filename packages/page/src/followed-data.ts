import type { TraceJson } from "@svcproxy/rules";
import { changeOf } from "./change-state.ts";
import { LocalData } from "./engine/local-data.ts";
import { overviewOf } from "./engine/overview-of.ts";
import type { Listed, Viewed } from "./engine/viewed.ts";
import { JudgedStates } from "./judged-states.ts";
import { meaningOf } from "./meaning-of.ts";
import type { PageConnections, PageCounts, PageData, PageEvent, PagePacket, PageState, ServiceView } from "./model.ts";
import { whyOf } from "./why-of.ts";

/** Where what is shown comes from, and how it is noticed that it is otherwise. */
export interface FollowedSource<T extends Listed = Listed> {
  /** @throws Error with a sentence for people; then what was read before stays */
  read(): Promise<T>;
  /** With rules and counters as they are now, for who looks at one service or packet; may be the very object. @throws as `read` */
  whole(listed: T): Promise<Viewed>;
  /** Tells two states apart at less cost than reading. */
  signature(): Promise<string>;
  /** Whether counters stand in what `read` reads: then it is read again from time to time although nothing else changed. */
  readonly hasCounters?: boolean;
  /** Undefined where nothing is counted. */
  counts?(listed: T): Promise<CountsReading | undefined>;
  connections?(listed: T, service: ShownService): Promise<PageConnections | undefined>;
}

/** The service that is open, by `namespace/name`, and the host on which it is looked at. */
export interface ShownService {
  readonly host: string;
  readonly id: string;
}

export interface CountsReading {
  readonly host: string;
  /** Milliseconds since 1970; the same for a reading that is told again. */
  readonly readAtMs: number;
  /** New connections of each service so far, by `namespace/name`. */
  readonly totals: ReadonlyMap<string, number>;
}

/**
 * Looking at the list may take this part of the time, and so may reading rules for a service that stays open: of a core at most, and less
 * where it waits. With what an agent does of its own for who looks, a page costs less than a twentieth of a core.
 */
const SHARE = 0.03;
/** Who goes from one service to the next asks for rules that were read this many times as long ago as that takes, at most. */
const FRESH_TIMES = 10;
/** However little it costs. */
const LEAST_PAUSE_MS = 1_000;
/** What has counters is read again after this time at the earliest. */
const LEAST_READ_PAUSE_MS = 5_000;

/** What answers for services and packets, for as long as it is not too old. */
interface Whole {
  readonly data: LocalData;
  readonly viewed: Viewed;
  readonly readAt: string;
  /** Until when it answers who asks something else, on the clock of `performance`. */
  readonly freshUntilMs: number;
  /** Until when it answers who goes on looking at the same. */
  dueMs: number;
}

/** Answers for a page that is open, and looks again for as long as one is: the more it costs, the more rarely. */
export class FollowedData<T extends Listed = Listed> implements PageData {
  readonly #source: FollowedSource<T>;
  readonly #followers = new Set<(event: PageEvent) => void>();
  readonly #judged = new JudgedStates();
  #listed: T;
  #state: PageState;
  #signature: string;
  #meaning: string;
  /** On the clock of `performance`. */
  #readDueMs: number;
  #whole: Whole | undefined;
  #reading: Promise<Whole> | undefined;
  /** What was asked last: a service or a packet. */
  #question = "";
  #stopJudging = () => {};
  #counted: CountsReading | undefined;
  #oldSince: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    source: FollowedSource<T>,
    { listed, signature, tookMs }: { readonly listed: T; readonly signature: string; readonly tookMs: number },
  ) {
    this.#source = source;
    this.#listed = listed;
    this.#state = overviewOf(listed);
    this.#signature = signature;
    this.#meaning = meaningOf(listed);
    this.#readDueMs = dueAfter(tookMs);
  }

  /** Reads once. @throws what the source throws */
  static async open<T extends Listed>(source: FollowedSource<T>): Promise<FollowedData<T>> {
    const signature = await source.signature();
    const startedMs = performance.now();
    const listed = await source.read();
    return new FollowedData(source, { listed, signature, tookMs: performance.now() - startedMs });
  }

  async state(): Promise<PageState> {
    return this.#state;
  }

  async service(id: string): Promise<readonly ServiceView[]> {
    const { data, readAt } = await this.#wholeFor(`service ${id}`);
    return this.#paid(async () => {
      const views = await data.service(id);
      return views.map((view) => ({ ...view, readAt }));
    });
  }

  async trace(packet: PagePacket): Promise<TraceJson> {
    const { data } = await this.#wholeFor(`packet ${JSON.stringify(packet)}`);
    return this.#paid(() => data.trace(packet));
  }

  async connections(host: string, id: string): Promise<PageConnections | undefined> {
    return this.#source.connections?.(this.#listed, { host, id });
  }

  follow(onEvent: (event: PageEvent) => void, have?: string): () => void {
    if (this.#oldSince === undefined) onEvent({ kind: "fresh" });
    // It may have changed since the page was loaded, while nobody looked.
    if (have !== this.#state.takenAt) onEvent({ kind: "state", state: this.#state });
    for (const event of this.#judged.known()) onEvent(event);
    this.#followers.add(onEvent);
    if (this.#followers.size === 1) {
      this.#judge();
      this.#schedule(0);
    }
    return () => {
      this.#followers.delete(onEvent);
      if (this.#followers.size > 0) return;
      clearTimeout(this.#timer);
      this.#stopJudging();
      this.#counted = undefined;
      this.#question = "";
    };
  }

  /** Who asks something else sees it almost as it is now; who goes on looking at the same, as it was not long ago. */
  async #wholeFor(question: string): Promise<Whole> {
    const isNew = question !== this.#question;
    this.#question = question;
    const known = this.#whole;
    if (known === undefined || (isNew && known.viewed.topology !== this.#listed.topology)) return this.#readWhole();
    return performance.now() < (isNew ? known.freshUntilMs : known.dueMs) ? known : this.#readWhole();
  }

  /** Those who ask at the same time read it once. */
  #readWhole(): Promise<Whole> {
    this.#reading ??= this.#readWholeNow().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readWholeNow(): Promise<Whole> {
    const startedMs = performance.now();
    const viewed = await this.#source.whole(this.#listed);
    const known = this.#whole;
    if (known?.viewed === viewed) return known;
    const nowMs = performance.now();
    const tookMs = nowMs - startedMs;
    this.#whole = {
      ...{ data: new LocalData(viewed), viewed, readAt: new Date().toISOString() },
      freshUntilMs: nowMs + Math.max(LEAST_READ_PAUSE_MS, tookMs * FRESH_TIMES),
      dueMs: dueAfter(tookMs),
    };
    return this.#whole;
  }

  /** The first question reads the rules: that is a part of what it costs to have them anew. */
  async #paid<A>(ask: () => Promise<A>): Promise<A> {
    const startedMs = performance.now();
    try {
      return await ask();
    } finally {
      const costMs = (performance.now() - startedMs) / SHARE;
      this.#readDueMs += costMs;
      if (this.#whole !== undefined) this.#whole.dueMs += costMs;
    }
  }

  #judge(): void {
    this.#stopJudging();
    const { hosts } = this.#listed;
    if (!hosts.some(({ rules, states }) => rules === "read" && states === undefined)) return;
    let stop: (() => void) | undefined;
    let isStopped = false;
    this.#stopJudging = () => {
      isStopped = true;
      stop?.();
    };
    this.#readWhole().then(
      ({ data }) => {
        if (!isStopped) stop = data.follow((event) => this.#tellJudged(event));
      },
      (error: unknown) => this.#tellOld(error),
    );
  }

  #tellJudged(event: PageEvent): void {
    const news = event.kind === "judged" ? this.#judged.take(event) : event;
    if (news !== undefined) this.#tell(news);
  }

  #schedule(pauseMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), pauseMs);
  }

  async #look(): Promise<void> {
    const startedAt = performance.now();
    let tookMs = 0;
    try {
      await this.#readIfChanged();
      tookMs = performance.now() - startedAt;
      // Who counts sees itself to what that may cost, and how often: waiting for it costs nothing.
      await this.#count();
      if (this.#oldSince !== undefined) this.#tell({ kind: "fresh" });
      this.#oldSince = undefined;
    } catch (error) {
      this.#tellOld(error);
    }
    if (this.#followers.size > 0) this.#schedule(Math.max(LEAST_PAUSE_MS, tookMs / SHARE - tookMs));
  }

  #tellOld(error: unknown): void {
    this.#oldSince ??= new Date().toISOString();
    this.#tell({ kind: "old", why: whyOf(error), since: this.#oldSince });
  }

  async #readIfChanged(): Promise<void> {
    const signature = await this.#source.signature();
    const startedMs = performance.now();
    const isDue = this.#source.hasCounters === true && startedMs >= this.#readDueMs;
    if (signature === this.#signature && !isDue && this.#oldSince === undefined) return;
    const listed = await this.#source.read();
    this.#readDueMs = dueAfter(performance.now() - startedMs);
    const meaning = meaningOf(listed);
    const isSame = meaning === this.#meaning;
    this.#signature = signature;
    this.#meaning = meaning;
    this.#listed = listed;
    if (isSame) return;
    const before = this.#state;
    this.#state = overviewOf(listed);
    // Where only rules are others this tells the time alone: who looks at a packet has to ask again.
    this.#tell({ kind: "changed", change: changeOf(before, this.#state) });
    this.#judged.keepOnly(this.#state);
    this.#judge();
  }

  async #count(): Promise<void> {
    const reading = await this.#source.counts?.(this.#listed);
    const before = this.#counted;
    if (reading === undefined || reading.readAtMs === before?.readAtMs) return;
    this.#counted = reading;
    if (before === undefined) return;
    const everyMs = reading.readAtMs - before.readAtMs;
    const perSecond = Array.from(reading.totals, ([id, total]): [string, number] => [
      id,
      // What was counted anew from nothing tells nothing.
      (Math.max(0, total - (before.totals.get(id) ?? total)) * 1000) / everyMs,
    ]).filter(([, rate]) => rate > 0);
    const counts: PageCounts = {
      host: reading.host,
      takenAt: new Date(reading.readAtMs).toISOString(),
      everyMs,
      perSecond: Object.fromEntries(perSecond),
    };
    this.#tell({ kind: "counts", counts });
  }

  #tell(event: PageEvent): void {
    for (const onEvent of this.#followers) onEvent(event);
  }
}

function dueAfter(tookMs: number): number {
  return performance.now() + Math.max(LEAST_READ_PAUSE_MS, tookMs / SHARE);
}
