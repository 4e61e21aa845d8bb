import { findPortHolder, type PortHolder, thisMachine } from "@svcproxy/host";
import type { Logger } from "pino";
import type { FrontendState, HandedListener, InheritedListeners, ProxyOptions } from "./contract.ts";
import type { DataPlane, ListenerHandle } from "./plane/byte-stream.ts";
import { type FrontendSpec, listens } from "./policy/frontend-spec.ts";
import type { WorkerGroup } from "./workers/worker-group.ts";

/** A frontend that could not listen is tried again after this long, then after twice as long, up to the second. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5_000;
/** Ports whose holder is looked up in one go: each look goes through all processes' descriptors. */
const MAX_HOLDER_LOOKS = 16;
/** Listeners opened together: workers answer for each, and the event loop gets its turn between. */
const OPEN_AT_ONCE = 256;

type Entry =
  | { readonly kind: "refusing"; readonly spec: FrontendSpec }
  | { readonly kind: "listening"; readonly spec: FrontendSpec; readonly listener: HandedListener }
  | FailedEntry;

interface FailedEntry {
  readonly kind: "failed";
  readonly spec: FrontendSpec;
  readonly state: Extract<FrontendState, { kind: "failed" }>;
  readonly delayMs: number;
  readonly retryAtMs: number;
}

interface BookSurroundings {
  readonly plane: DataPlane;
  readonly options: ProxyOptions;
  readonly group: WorkerGroup;
  readonly logger: Logger;
  readonly inherited: InheritedListeners;
  /** Runs work when no plan is being carried out. */
  readonly exclusively: (work: () => Promise<void>) => Promise<void>;
}

/** Which frontends listen, and why the others do not: opens and closes their sockets, and tries again what failed. */
export class ListenerBook {
  readonly #surroundings: BookSurroundings;
  readonly #entries = new Map<string, Entry>();
  #retry: NodeJS.Timeout | undefined;
  #holderLooks = 0;
  #closed = false;

  constructor(surroundings: BookSurroundings) {
    this.#surroundings = surroundings;
  }

  /** Frontends that left the plan stop to listen. Call before the workers get the new plan. */
  drop(specs: ReadonlyMap<string, FrontendSpec>): string[] {
    const removed: string[] = [];
    for (const [key, entry] of this.#entries) {
      const spec = specs.get(key);
      if (spec === undefined) removed.push(key);
      else if (listens(spec) === (entry.kind !== "refusing")) continue;
      if (entry.kind === "listening") this.#surroundings.group.unlisten(key);
      this.#entries.delete(key);
    }
    return removed;
  }

  /** Frontends of the plan that do not listen yet do so. Call when the workers have the plan. */
  async open(specs: ReadonlyMap<string, FrontendSpec>): Promise<void> {
    this.#holderLooks = 0;
    const opening: FrontendSpec[] = [];
    for (const [key, spec] of specs) {
      const entry = this.#entries.get(key);
      if (entry !== undefined && entry.kind !== "failed") continue;
      if (listens(spec)) opening.push(spec);
      else this.#entries.set(key, { kind: "refusing", spec });
    }
    for (let first = 0; first < opening.length; first += OPEN_AT_ONCE) {
      await Promise.all(opening.slice(first, first + OPEN_AT_ONCE).map((spec) => this.#listen(spec)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#closeUnclaimed();
    this.#scheduleRetry();
  }

  async #listen(spec: FrontendSpec): Promise<void> {
    const { group, logger } = this.#surroundings;
    const entry = this.#entries.get(spec.key);
    const before = entry?.kind === "failed" ? entry : undefined;
    try {
      const listener = { key: spec.key, protocol: spec.protocol, handle: this.#handleFor(spec) };
      await group.listen(listener);
      this.#entries.set(spec.key, { kind: "listening", spec, listener });
      if (before !== undefined) logger.info({ frontend: spec.key, service: spec.service }, "frontend listens now");
    } catch (error) {
      const code = errorCode(error);
      if (code === undefined) throw error;
      await this.#failed(spec, { code, before });
    }
  }

  #handleFor(spec: FrontendSpec): ListenerHandle {
    const { plane, options, inherited } = this.#surroundings;
    const handed = inherited.get(spec.key);
    if (handed !== undefined) {
      inherited.delete(spec.key);
      return handed.handle;
    }
    if (spec.protocol === "tcp") return plane.bind(spec.address, spec.port).handle;
    if (plane.datagrams === undefined) throw new UnsupportedError();
    const { address, port } = spec;
    return plane.datagrams.bind({ address, port, bufferBytes: options.udpBufferBytes });
  }

  async #failed(
    spec: FrontendSpec,
    { code, before }: { code: string; before: FailedEntry | undefined },
  ): Promise<void> {
    const delayMs = before === undefined ? FIRST_RETRY_MS : Math.min(before.delayMs * 2, LONGEST_RETRY_MS);
    const holder = code === "EADDRINUSE" ? await this.#findHolder(spec) : undefined;
    const reason = reasonFor(spec, code);
    const state: FailedEntry["state"] = {
      kind: "failed",
      code,
      reason,
      ...(holder === undefined ? {} : { holder }),
      retryInMs: delayMs,
    };
    this.#entries.set(spec.key, { kind: "failed", spec, state, delayMs, retryAtMs: Date.now() + delayMs });
    // The first failure is in the report of the plan.
    if (before === undefined || before.state.reason === reason) return;
    this.#surroundings.logger.warn({ frontend: spec.key, service: spec.service, code }, `cannot listen: ${reason}`);
  }

  async #findHolder(spec: FrontendSpec): Promise<PortHolder | undefined> {
    if (this.#holderLooks >= MAX_HOLDER_LOOKS) return undefined;
    this.#holderLooks++;
    return findPortHolder(thisMachine, spec);
  }

  #closeUnclaimed(): void {
    const { inherited } = this.#surroundings;
    for (const { handle } of inherited.values()) handle.close();
    inherited.clear();
  }

  #scheduleRetry(): void {
    clearTimeout(this.#retry);
    const { exclusively } = this.#surroundings;
    const failed = [...this.#entries.values()].filter((entry) => entry.kind === "failed");
    if (failed.length === 0 || this.#closed) return;
    const nextAtMs = Math.min(...failed.map(({ retryAtMs }) => retryAtMs));
    this.#retry = setTimeout(() => void exclusively(() => this.#retryFailed()), Math.max(0, nextAtMs - Date.now()));
  }

  async #retryFailed(): Promise<void> {
    this.#holderLooks = 0;
    const nowMs = Date.now();
    for (const entry of this.#entries.values()) {
      if (entry.kind !== "failed" || entry.retryAtMs > nowMs || this.#closed) continue;
      await this.#listen(entry.spec);
    }
    this.#scheduleRetry();
  }

  stateOf(key: string): FrontendState {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.kind === "refusing") return { kind: "refusing" };
    if (entry.kind === "listening") return { kind: "listening" };
    return { ...entry.state, retryInMs: Math.max(0, entry.retryAtMs - Date.now()) };
  }

  listeners(): readonly HandedListener[] {
    return [...this.#entries.values()].flatMap((entry) => (entry.kind === "listening" ? [entry.listener] : []));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#closeUnclaimed();
  }
}

class UnsupportedError extends Error {
  readonly code = "UNSUPPORTED";
}

function reasonFor({ address, port }: FrontendSpec, code: string): string {
  switch (code) {
    case "EADDRINUSE":
      return `port ${port} of ${address} is in use`;
    case "EADDRNOTAVAIL":
      return `${address} is no address of this host`;
    case "EACCES":
      return `port ${port} needs CAP_NET_BIND_SERVICE, or sudo sysctl -w net.ipv4.ip_unprivileged_port_start=${port}`;
    case "UNSUPPORTED":
      return "this Node lacks the native handles that datagrams need";
    case "EMFILE":
      return "no file descriptor is left";
    default:
      return `the system refuses with ${code}`;
  }
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
