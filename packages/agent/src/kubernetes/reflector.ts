import { setTimeout as delay } from "node:timers/promises";
import type { ApiClient } from "./api-client.ts";
import { ApiError, type ApiObject, objectOf, statusOf, textOf } from "./api-error.ts";
import { isNamed, keyOf } from "./api-object.ts";
import { BackOff } from "./back-off.ts";
import { currentVersion, listPages } from "./list-pages.ts";
import type { Resource } from "./resource.ts";

/** Whether an object is told because it changed, or with all the others that there are. */
export type Telling = "change" | "list";

/** Whoever is told of a resource; objects come as they are, by `namespace/name`, or their name alone. */
export interface ReflectorSink {
  set(key: string, object: ApiObject, how: Telling): void;
  remove(key: string, how: Telling): void;
  /** Something came, or the whole state is there now. */
  changed(): void;
  /** A byte came. */
  heard(): void;
  /** A watch is open, and lasts. */
  opened(): void;
  /** It could not be followed. Told again each time. */
  failed(error: unknown): void;
}

export interface ReflectorOptions {
  readonly client: ApiClient;
  readonly resource: Resource;
  readonly sink: ReflectorSink;
  /** Defaults: 200 ms, then twice as long, up to 30 s. */
  readonly firstRetryMs?: number;
  readonly longestRetryMs?: number;
  /** A watch on which nothing comes for so long is opened anew. Default: 150 s. */
  readonly watchSilenceMs?: number;
}

const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 30_000;
/** A watch that is open for as long as so many of the first pauses lasts. */
const LASTING_RETRIES = 5;
/** A server that has just started refuses what it grants a second later; one that lacks a resource may be another one some day. */
const LONGEST_OPTIONAL_RETRY_MS = 600_000;
/** A watch that ends sooner, as it should, did not last: it is opened again with a pause. */
const SHORT_WATCH_MS = 1_000;
/**
 * Servers send a bookmark every 60 s. Behind a balancer of connections nothing else tells that a server is gone: the balancer lives, and answers what
 * is asked beside.
 */
const WATCH_SILENCE_MS = 150_000;
/** How long servers are to keep a watch, drawn at random so that not all end at once; as kube-proxy has it. */
const LEAST_WATCH_S = 300;
/** What a server is given beyond that to end it. */
const OVERTIME_MS = 30_000;
/** A server that knows no `sendInitialEvents` sends what there is, and never says that it was all. */
const INITIAL_SILENCE_MS = 10_000;
const INITIAL_END = "k8s.io/initial-events-end";

/**
 * Follows one resource of an API server: all of it as a stream where the server does that, else as pages of a list, and from there on by a
 * watch with bookmarks. Never ends but by its signal.
 */
export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #backOff: BackOff;
  readonly #optionalBackOff: BackOff;
  /** Objects that the sink has. Their versions say nothing: a store that was set back gives the same once more. */
  readonly #known = new Set<string>();
  /** Up to where the sink was told everything; undefined: it has to be told all anew. */
  #version: string | undefined;
  #canStream = true;
  #streamFailures = 0;
  /** How often in a row the version was too old. */
  #expiries = 0;
  #isSynced = false;
  /** Whether the connection was lost since: another server may be there now. */
  #wasLost = false;
  #watch: AbortController | undefined;
  /** Ends the pause before something that failed is tried again, unless the server asked for it. */
  #pause: AbortController | undefined;

  constructor(options: ReflectorOptions) {
    this.#options = options;
    const { firstRetryMs = FIRST_RETRY_MS, longestRetryMs = LONGEST_RETRY_MS } = options;
    this.#backOff = new BackOff({ firstMs: firstRetryMs, longestMs: longestRetryMs });
    this.#optionalBackOff = new BackOff({ firstMs: firstRetryMs, longestMs: LONGEST_OPTIONAL_RETRY_MS });
  }

  /** Whether the sink has the whole state. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Resolves once `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedMs = performance.now();
      try {
        await this.#follow(signal);
        if (performance.now() - startedMs < SHORT_WATCH_MS) await pause(this.#backOff.failed(), signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#waitAfter(error, signal);
      }
    }
  }

  /** Asks for everything anew. */
  restart(): void {
    this.#version = undefined;
    this.#watch?.abort();
    this.retryNow();
  }

  /** The server is there: what failed is tried again at once. */
  retryNow(): void {
    this.#pause?.abort();
  }

  /** Opens the watch anew: nobody is at the other end. */
  reconnect(): void {
    this.#wasLost = true;
    this.#watch?.abort();
  }

  /** The store is at this version now: whoever has a later one was told by a store that is no more. */
  serverIsAt(version: string): void {
    if (this.#version === undefined || Number(this.#version) <= Number(version)) return;
    this.#version = undefined;
    this.#watch?.abort();
  }

  async #waitAfter(error: unknown, signal: AbortSignal): Promise<void> {
    const isAsked = error instanceof ApiError && error.status?.retryAfterMs !== undefined;
    const ms = this.#judge(error);
    if (isAsked) return pause(ms, signal);
    const ending = new AbortController();
    this.#pause = ending;
    await pause(ms, AbortSignal.any([signal, ending.signal]));
    this.#pause = undefined;
  }

  async #follow(signal: AbortSignal): Promise<void> {
    if (this.#version === undefined) {
      if (this.#canStream) return this.#openWatch(signal, { isInitial: true });
      await this.#list(signal);
    } else if (this.#wasLost) {
      await this.#compareVersions(signal);
    }
    this.#wasLost = false;
    if (this.#version !== undefined) await this.#openWatch(signal, { isInitial: false });
  }

  /** A store that was set back answers a watch from later on with silence. */
  async #compareVersions(signal: AbortSignal): Promise<void> {
    const { client, resource, sink } = this.#options;
    this.serverIsAt(await currentVersion({ client, resource, onBytes: () => sink.heard() }, signal));
  }

  /** @returns after how long to try again */
  #judge(error: unknown): number {
    const { sink, resource } = this.#options;
    const status = error instanceof ApiError ? error.status : undefined;
    if (error instanceof ApiError && (error.isExpired || error.isFromFuture)) this.#version = undefined;
    if (this.#version === undefined && this.#canStream && status !== undefined && !this.#isWorthStreaming(error)) {
      this.#canStream = false;
      return 0;
    }
    if (resource.isOptional && (status?.code === 404 || status?.code === 403)) {
      if (!this.#isSynced) this.#replaced(new Set());
      return this.#optionalBackOff.failed();
    }
    this.#wasLost = true;
    // Only what it remembers is too little: all of it is asked for at once, unless that is of no use.
    this.#expiries = error instanceof ApiError && error.isExpired ? this.#expiries + 1 : 0;
    if (this.#expiries === 0 || this.#expiries > 2) sink.failed(error);
    return this.#backOff.failed(status?.retryAfterMs);
  }

  /** Whether the server may stream all of it another time. */
  #isWorthStreaming(error: unknown): boolean {
    if (!(error instanceof ApiError)) return true;
    this.#streamFailures++;
    return (error.isPassing && this.#streamFailures < 3) || error.isExpired;
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, resource, sink } = this.#options;
    const seen = new Set<string>();
    let version: string | undefined;
    // Where a page has expired, the list begins anew with the next try.
    for await (const page of listPages({ client, resource, onBytes: () => sink.heard() }, signal)) {
      for (const item of page.items) seen.add(this.#set(item, "list"));
      version ??= page.version;
    }
    this.#version = version;
    this.#replaced(seen);
  }

  /** One that breaks off sooner, again and again, is none. */
  get #lastsAfterMs(): number {
    return LASTING_RETRIES * (this.#options.firstRetryMs ?? FIRST_RETRY_MS);
  }

  async #openWatch(signal: AbortSignal, { isInitial }: { readonly isInitial: boolean }): Promise<void> {
    const { client, resource, sink, watchSilenceMs = WATCH_SILENCE_MS } = this.#options;
    const ending = new AbortController();
    this.#watch = ending;
    const seconds = Math.round(LEAST_WATCH_S * (1 + Math.random()));
    const overtime = setTimeout(() => ending.abort(), seconds * 1000 + OVERTIME_MS);
    const silence = setTimeout(() => ending.abort(), watchSilenceMs);
    const lasting = new LastingWatch(() => sink.opened(), this.#lastsAfterMs);
    const initial = isInitial ? new InitialEvents(() => ending.abort(NO_END)) : undefined;
    const query = {
      ...resource.query,
      ...{ watch: "true", allowWatchBookmarks: "true", timeoutSeconds: String(seconds) },
      ...(isInitial ? INITIAL_QUERY : { resourceVersion: this.#version ?? "" }),
    };
    const both = AbortSignal.any([signal, ending.signal]);
    try {
      const events = client.watch({ path: resource.path, query, signal: both }, () => {
        sink.heard();
        silence.refresh();
        if (!isInitial) lasting.heard();
        initial?.heard();
      });
      for await (const together of events) for (const event of together) this.#take(event, initial);
      if (initial?.isOpen === true) throw new ApiError("the stream ended before all had come");
    } catch (error) {
      // What ended it was meant.
      if (!ending.signal.aborted || signal.aborted) throw error;
      if (ending.signal.reason === NO_END) this.#canStream = false;
      else this.#wasLost = true;
    } finally {
      clearTimeout(overtime);
      clearTimeout(silence);
      lasting.stop();
      initial?.stop();
      this.#watch = undefined;
    }
  }

  #take(value: unknown, initial: InitialEvents | undefined): void {
    const { sink, resource } = this.#options;
    const event = objectOf(value);
    const object = objectOf(event["object"]);
    checkEvent(event, resource);
    const version = textOf(objectOf(object["metadata"])["resourceVersion"]);
    switch (event["type"]) {
      case "ADDED":
      case "MODIFIED": {
        const key = this.#set(object, initial?.isOpen === true ? "list" : "change");
        if (initial?.isOpen === true) initial.seen.add(key);
        break;
      }
      case "DELETED": {
        const key = keyOf(object);
        initial?.seen.delete(key);
        if (this.#known.delete(key)) sink.remove(key, initial?.isOpen === true ? "list" : "change");
        break;
      }
      case "BOOKMARK": {
        if (initial?.isOpen !== true) break;
        const annotations = objectOf(objectOf(object["metadata"])["annotations"]);
        // One that does not mark the end comes from a server that knows of none.
        if (annotations[INITIAL_END] !== "true") throw refusedStream();
        this.#version = version;
        this.#replaced(initial.seen);
        initial.stop();
        return;
      }
      case "ERROR": {
        const code = object["code"];
        const status = statusOf(typeof code === "number" ? code : 0, JSON.stringify(object));
        throw new ApiError(status.message, { status });
      }
      default:
        // A type of a later server says nothing that can be used.
        return;
    }
    if (initial?.isOpen === true) return;
    this.#backOff.succeeded();
    if (version !== undefined) this.#version = version;
    if (event["type"] !== "BOOKMARK") sink.changed();
  }

  /** @returns its key */
  #set(object: ApiObject, how: Telling): string {
    const key = keyOf(object);
    this.#known.add(key);
    this.#options.sink.set(key, object, how);
    return key;
  }

  /** These are all: what is not among them is gone. */
  #replaced(seen: ReadonlySet<string>): void {
    const { sink } = this.#options;
    for (const key of this.#known) {
      if (seen.has(key)) continue;
      this.#known.delete(key);
      sink.remove(key, "list");
    }
    this.#isSynced = true;
    this.#streamFailures = 0;
    if (seen.size > 0) this.#optionalBackOff.succeeded();
    this.#backOff.succeeded();
    sink.changed();
  }
}

const INITIAL_QUERY = { sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" } as const;
const NO_END = Symbol("no end of the initial events");

const NAMED_EVENTS: ReadonlySet<unknown> = new Set(["ADDED", "MODIFIED", "DELETED"]);

/** What comes from anywhere else than an API server is not taken, and not passed over either: what it stands in place of would be missing. */
function checkEvent(event: ApiObject, { kind, plural }: Resource): void {
  const object = objectOf(event["object"]);
  const isIt = NAMED_EVENTS.has(event["type"]) ? object["kind"] === kind && isNamed(object) : textOf(event["type"]);
  if (isIt) return;
  throw new ApiError(`a line of the answer is not an event of ${plural}: ${JSON.stringify(event).slice(0, 60)}`);
}

function refusedStream(): ApiError {
  const message = "the server does not mark the end of the initial events";
  return new ApiError(message, {
    status: { code: 501, reason: "", message, retryAfterMs: undefined, causes: [] },
  });
}

/** Tells of a watch once it has been open for some time. */
class LastingWatch {
  readonly #onLasting: () => void;
  readonly #afterMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(onLasting: () => void, afterMs: number) {
    this.#onLasting = onLasting;
    this.#afterMs = afterMs;
  }

  heard(): void {
    this.#timer ??= setTimeout(this.#onLasting, this.#afterMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** Objects of a stream that is to bring all there are. */
class InitialEvents {
  readonly seen = new Set<string>();
  readonly #onSilence: () => void;
  #timer: NodeJS.Timeout | undefined;
  isOpen = true;

  constructor(onSilence: () => void) {
    this.#onSilence = onSilence;
  }

  heard(): void {
    clearTimeout(this.#timer);
    if (this.isOpen) this.#timer = setTimeout(this.#onSilence, INITIAL_SILENCE_MS);
  }

  stop(): void {
    this.isOpen = false;
    clearTimeout(this.#timer);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}
