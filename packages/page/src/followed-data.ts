import type { TraceJson } from "@svcproxy/rules";
import { LocalData } from "./engine/local-data.ts";
import { overviewOf } from "./engine/overview-of.ts";
import type { Viewed } from "./engine/viewed.ts";
import { meaningOf } from "./meaning-of.ts";
import type { PageConnections, PageCounts, PageData, PageEvent, PagePacket, PageState, ServiceView } from "./model.ts";

/** Where what is shown comes from, and how it is noticed that it is otherwise. */
export interface FollowedSource {
  /** @throws Error with a sentence for people; then what was read before stays */
  read(): Promise<Viewed>;
  /** Tells two states apart at less cost than reading. */
  signature(): Promise<string>;
  /** Whether counters stand in what is read: then it is read again from time to time although nothing else changed. */
  readonly hasCounters?: boolean;
  /** Undefined where nothing is counted. */
  counts?(viewed: Viewed): Promise<CountsReading | undefined>;
  connections?(viewed: Viewed, service: ShownService): Promise<PageConnections | undefined>;
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

/** Looking may take this part of the time: of a core at most, and less where it waits. */
const SHARE = 0.05;
/** However little it costs. */
const LEAST_PAUSE_MS = 1_000;
/** What has counters is read again after this time at the earliest. */
const LEAST_READ_PAUSE_MS = 5_000;

/**
 * Answers for a page that is open, and looks again for as long as one is: the more it costs, the more rarely.
 *
 * `start` once.
 */
export class FollowedData implements PageData {
  readonly #source: FollowedSource;
  readonly #followers = new Map<(event: PageEvent) => void, () => void>();
  #viewed: Viewed;
  #data: LocalData;
  #signature: string;
  #meaning: string;
  /** On the clock of `performance`. */
  #readDueMs: number;
  #counted: CountsReading | undefined;
  #oldSince: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  private constructor(
    source: FollowedSource,
    { viewed, signature, tookMs }: { readonly viewed: Viewed; readonly signature: string; readonly tookMs: number },
  ) {
    this.#source = source;
    this.#viewed = viewed;
    this.#data = new LocalData(viewed);
    this.#signature = signature;
    this.#meaning = meaningOf(viewed);
    this.#readDueMs = nextRead(tookMs);
  }

  /** Reads once. @throws what the source throws */
  static async open(source: FollowedSource): Promise<FollowedData> {
    const signature = await source.signature();
    const startedMs = performance.now();
    const viewed = await source.read();
    return new FollowedData(source, { viewed, signature, tookMs: performance.now() - startedMs });
  }

  get viewed(): Viewed {
    return this.#viewed;
  }

  state(): Promise<PageState> {
    return this.#data.state();
  }

  async service(id: string): Promise<readonly ServiceView[]> {
    const startedMs = performance.now();
    try {
      return await this.#data.service(id);
    } finally {
      // The first question reads the rules: that is a part of what it costs to have them anew.
      this.#readDueMs += (performance.now() - startedMs) / SHARE;
    }
  }

  trace(packet: PagePacket): Promise<TraceJson> {
    return this.#data.trace(packet);
  }

  async connections(host: string, id: string): Promise<PageConnections | undefined> {
    return this.#source.connections?.(this.#viewed, { host, id });
  }

  follow(onEvent: (event: PageEvent) => void, have?: string): () => void {
    if (this.#oldSince === undefined) onEvent({ kind: "fresh" });
    // It may have changed since the page was loaded, while nobody looked.
    if (have !== this.#viewed.takenAt) onEvent({ kind: "state", state: overviewOf(this.#viewed) });
    this.#followers.set(onEvent, this.#data.follow(onEvent));
    if (this.#followers.size === 1) this.#schedule(0);
    return () => {
      this.#followers.get(onEvent)?.();
      this.#followers.delete(onEvent);
      if (this.#followers.size > 0) return;
      clearTimeout(this.#timer);
      this.#counted = undefined;
    };
  }

  #schedule(pauseMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), pauseMs);
  }

  async #look(): Promise<void> {
    const startedAt = performance.now();
    try {
      await this.#readIfChanged();
      await this.#count();
      if (this.#oldSince !== undefined) this.#tell({ kind: "fresh" });
      this.#oldSince = undefined;
    } catch (error) {
      this.#oldSince ??= new Date().toISOString();
      this.#tell({ kind: "old", why: error instanceof Error ? error.message : String(error), since: this.#oldSince });
    }
    const tookMs = performance.now() - startedAt;
    if (this.#followers.size > 0) this.#schedule(Math.max(LEAST_PAUSE_MS, tookMs / SHARE - tookMs));
  }

  async #readIfChanged(): Promise<void> {
    const signature = await this.#source.signature();
    const startedMs = performance.now();
    const isDue = this.#source.hasCounters === true && startedMs >= this.#readDueMs;
    if (signature === this.#signature && !isDue && this.#oldSince === undefined) return;
    const viewed = await this.#source.read();
    this.#readDueMs = nextRead(performance.now() - startedMs);
    const meaning = meaningOf(viewed);
    const isSame = meaning === this.#meaning;
    this.#signature = signature;
    this.#meaning = meaning;
    this.#viewed = isSame ? { ...viewed, takenAt: this.#viewed.takenAt } : viewed;
    this.#data = new LocalData(this.#viewed);
    if (isSame) return;
    for (const [onEvent, stop] of this.#followers) {
      stop();
      onEvent({ kind: "state", state: overviewOf(viewed) });
      this.#followers.set(onEvent, this.#data.follow(onEvent));
    }
  }

  async #count(): Promise<void> {
    const reading = await this.#source.counts?.(this.#viewed);
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
    for (const onEvent of this.#followers.keys()) onEvent(event);
  }
}

function nextRead(tookMs: number): number {
  return performance.now() + Math.max(LEAST_READ_PAUSE_MS, tookMs / SHARE);
}
