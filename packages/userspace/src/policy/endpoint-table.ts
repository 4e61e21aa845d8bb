import type { EndpointStatus } from "../contract.ts";
import { type MutableEndpointCounters, newEndpointCounters } from "./counters.ts";
import type { EndpointTarget, ListedEndpoint } from "./frontend-spec.ts";

/** An endpoint that failed is passed over this long at first, twice as long after each further failure. */
const FIRST_EJECTION_MS = 1_000;
const LONGEST_EJECTION_MS = 30_000;

/** What one worker knows of an endpoint. */
export class EndpointState {
  readonly target: EndpointTarget;
  listed: ListedEndpoint | undefined;
  readonly counters: MutableEndpointCounters = newEndpointCounters();
  /** On the worker's clock; 0 where it is not passed over. */
  ejectedUntilMs = 0;
  #ejectionMs = 0;
  /** What the active check says. */
  down = false;
  /** When its connections are reset because the plan no longer lists it; Infinity while it does. */
  removedAtMs = Number.POSITIVE_INFINITY;

  constructor(target: EndpointTarget) {
    this.target = target;
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

  status(nowMs: number): EndpointStatus | undefined {
    const { listed } = this;
    if (listed === undefined) return undefined;
    const draining = this.removedAtMs !== Number.POSITIVE_INFINITY;
    const ejected = this.ejectedUntilMs > nowMs;
    return {
      key: listed.key,
      protocol: listed.protocol,
      address: listed.address,
      port: listed.port,
      services: listed.services,
      ...(listed.pod === undefined ? {} : { pod: listed.pod }),
      state: draining ? "draining" : this.down ? "down" : ejected ? "ejected" : "up",
      ejectedForMs: ejected ? Math.round(this.ejectedUntilMs - nowMs) : 0,
      counters: this.counters,
    };
  }
}

/** The endpoints of one worker: those that the plan lists, and those that left it and still have connections. */
export class EndpointTable {
  readonly #states = new Map<string, EndpointState>();

  /** @returns endpoints that left the plan with this call */
  update(listed: readonly ListedEndpoint[], { nowMs, drainMs }: { nowMs: number; drainMs: number }): EndpointState[] {
    const current = new Set<string>();
    for (const endpoint of listed) {
      current.add(endpoint.key);
      const state = this.get(endpoint);
      state.listed = endpoint;
      state.removedAtMs = Number.POSITIVE_INFINITY;
    }
    const removed: EndpointState[] = [];
    for (const [key, state] of this.#states) {
      if (current.has(key)) continue;
      if (state.counters.active === 0) this.#states.delete(key);
      else if (state.removedAtMs === Number.POSITIVE_INFINITY) {
        state.removedAtMs = nowMs + drainMs;
        removed.push(state);
      }
    }
    return removed;
  }

  /** The state of a target; a new one where it is not known yet. */
  get(target: EndpointTarget): EndpointState {
    const known = this.#states.get(target.key);
    if (known !== undefined) return known;
    const state = new EndpointState(target);
    this.#states.set(target.key, state);
    return state;
  }

  find(key: string): EndpointState | undefined {
    return this.#states.get(key);
  }

  /** Forgets endpoints that left the plan and have no connection any more. */
  sweep(): void {
    for (const [key, state] of this.#states) {
      if (state.removedAtMs !== Number.POSITIVE_INFINITY && state.counters.active === 0) this.#states.delete(key);
    }
  }

  values(): IterableIterator<EndpointState> {
    return this.#states.values();
  }
}
