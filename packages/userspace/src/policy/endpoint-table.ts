import type { EndpointStatus } from "../proxy-status.ts";
import { type MutableEndpointCounters, newEndpointCounters } from "./counters.ts";
import type { ListedEndpoint } from "./frontend-spec.ts";

/** An endpoint that failed is passed over this long at first, twice as long after each further failure. */
const FIRST_EJECTION_MS = 1_000;
const LONGEST_EJECTION_MS = 30_000;

/** What one worker knows of an endpoint. */
export class EndpointState {
  /** As the plan lists it, or listed it last. */
  target: ListedEndpoint;
  readonly counters: MutableEndpointCounters = newEndpointCounters();
  /** On the worker's clock; 0 where it is not passed over. */
  ejectedUntilMs = 0;
  #ejectionMs = 0;
  /** What the active check says. */
  down = false;
  /** When its connections are reset because the plan no longer lists it; Infinity while it does. */
  removedAtMs = Number.POSITIVE_INFINITY;

  constructor(target: ListedEndpoint) {
    this.target = target;
  }

  list(target: ListedEndpoint): void {
    this.target = target;
    this.removedAtMs = Number.POSITIVE_INFINITY;
  }

  /** The plan does not list it any more. */
  get isRemoved(): boolean {
    return this.removedAtMs !== Number.POSITIVE_INFINITY;
  }

  isUsable(nowMs: number): boolean {
    return !this.down && this.ejectedUntilMs <= nowMs;
  }

  /** A dial failed, or an ICMP error came back. */
  failed(nowMs: number): void {
    // Dials that were under way together are one failure.
    if (this.ejectedUntilMs > nowMs) return;
    this.#ejectionMs = this.#ejectionMs === 0 ? FIRST_EJECTION_MS : Math.min(this.#ejectionMs * 2, LONGEST_EJECTION_MS);
    this.ejectedUntilMs = nowMs + this.#ejectionMs;
  }

  succeeded(): void {
    if (this.#ejectionMs === 0) return;
    this.#ejectionMs = 0;
    this.ejectedUntilMs = 0;
  }

  status(nowMs: number): EndpointStatus {
    const ejected = this.ejectedUntilMs > nowMs;
    return {
      ...this.target,
      state: this.isRemoved ? "draining" : this.down ? "down" : ejected ? "ejected" : "up",
      ejectedForMs: ejected ? Math.round(this.ejectedUntilMs - nowMs) : 0,
      counters: this.counters,
    };
  }
}

/** The endpoints of one worker: those that the plan lists, and those that left it and still have connections. */
export class EndpointTable {
  readonly #states = new Map<string, EndpointState>();

  /** The plan lists it, newly or otherwise than before. */
  list(endpoint: ListedEndpoint): void {
    const state = this.#states.get(endpoint.key);
    if (state === undefined) this.#states.set(endpoint.key, new EndpointState(endpoint));
    else state.list(endpoint);
  }

  /** The plan lists it no more: its connections are reset at `removedAtMs`. */
  unlist(key: string, removedAtMs: number): void {
    const state = this.#states.get(key);
    if (state === undefined) return;
    if (state.counters.active === 0) this.#states.delete(key);
    else if (!state.isRemoved) state.removedAtMs = removedAtMs;
  }

  /** Those of them that are known. */
  find(keys: readonly string[]): readonly EndpointState[] {
    return keys.map((key) => this.#states.get(key)).filter((state) => state !== undefined);
  }

  get(key: string): EndpointState | undefined {
    return this.#states.get(key);
  }

  /** Forgets endpoints that left the plan and have no connection any more. */
  sweep(): void {
    for (const [key, state] of this.#states) {
      if (state.isRemoved && state.counters.active === 0) this.#states.delete(key);
    }
  }

  values(): IterableIterator<EndpointState> {
    return this.#states.values();
  }
}

/** No endpoint has been tried yet. */
export const NONE_TRIED: readonly EndpointState[] = [];

/**
 * One endpoint at random, each with the same chance, of those that are usable and were not tried; where none is usable,
 * of those that are passed over.
 *
 * @param random gives numbers in [0, 1)
 * @returns undefined where all were tried
 */
export function pickEndpoint(
  endpoints: readonly EndpointState[],
  { tried, nowMs, random }: { tried: readonly EndpointState[]; nowMs: number; random: () => number },
): EndpointState | undefined {
  // Almost always the first draw is usable; only where it is not the candidates are counted.
  const first = endpoints[Math.floor(random() * endpoints.length)];
  if (first === undefined) return undefined;
  if (tried.length === 0 && first.isUsable(nowMs)) return first;
  const untried = endpoints.filter((endpoint) => !tried.includes(endpoint));
  const usable = untried.filter((endpoint) => endpoint.isUsable(nowMs));
  const candidates = usable.length > 0 ? usable : untried;
  return candidates[Math.floor(random() * candidates.length)];
}
