import { formatSocketAddress, type Problem, type RegisteredEndpoint } from "@svcproxy/topology";

export interface StaleEndpointsOptions {
  /** Fewer than this that vanish go at once; 0: all go at once. */
  readonly least: number;
}

/** What vanishes within this time counts as one loss: leases lapse one after the other. */
export const LOSS_WINDOW_MS = 60_000;
/** After etcd was out of reach, whoever is still there has this time to say so. */
export const RETURN_GRACE_MS = 30_000;

interface Lost {
  readonly endpoint: RegisteredEndpoint;
  readonly at: number;
}

/**
 * Keeps endpoints whose registration vanished without a word, where that says more about etcd than about them: more than half of all within
 * a minute, and at least so many; or any, right after etcd was out of reach. One that said before that it is not ready, or about to end, goes
 * at once. What is kept for the first reason stays until it returns or is confirmed to be gone.
 */
export class StaleEndpoints {
  readonly #least: number;
  #known: ReadonlyMap<string, RegisteredEndpoint> = new Map();
  /** Those that vanished within the window, by the path of their entry. */
  readonly #lost = new Map<string, Lost>();
  /** Those that stay until they return. */
  readonly #stale = new Map<string, Lost>();
  #regainedAt: number | undefined;

  constructor({ least }: StaleEndpointsOptions) {
    this.#least = least;
  }

  /** etcd answers again, after it did not. */
  regained(now: number): void {
    this.#regainedAt = now;
  }

  /**
   * @param present what is registered now, by the path of its entry
   * @param now in milliseconds, of a clock that never goes back
   * @param withdrawn entries that are gone after they said that they would be
   */
  update(
    present: ReadonlyMap<string, RegisteredEndpoint>,
    now: number,
    withdrawn: ReadonlySet<string> = new Set(),
  ): readonly RegisteredEndpoint[] {
    for (const [path, endpoint] of this.#known) {
      if (!present.has(path) && !withdrawn.has(path) && isInUse(endpoint)) this.#lost.set(path, { endpoint, at: now });
    }
    this.#known = present;
    for (const path of present.keys()) {
      this.#lost.delete(path);
      this.#stale.delete(path);
    }
    for (const [path, { at }] of this.#lost) if (now - at > LOSS_WINDOW_MS) this.#lost.delete(path);
    if (this.#isMass(present)) for (const [path, lost] of this.#lost) this.#stale.set(path, lost);
    const kept = new Map([...this.#graced(now), ...this.#stale]);
    return [...present.values(), ...[...kept.values()].map(({ endpoint }) => endpoint)];
  }

  #isMass(present: ReadonlyMap<string, RegisteredEndpoint>): boolean {
    if (this.#least === 0 || this.#lost.size < this.#least) return false;
    const ready = [...present.values()].filter(isInUse).length;
    return this.#lost.size * 2 > ready + this.#lost.size;
  }

  #graced(now: number): readonly (readonly [string, Lost])[] {
    const from = this.#regainedAt;
    if (from === undefined || this.#least === 0 || now - from >= RETURN_GRACE_MS) return [];
    return [...this.#lost].filter(([, { at }]) => at >= from);
  }

  /** When `update` may come to another result although nothing was told; undefined: never. */
  nextAt(now: number): number | undefined {
    const end = (this.#regainedAt ?? Number.NEGATIVE_INFINITY) + RETURN_GRACE_MS;
    return this.#graced(now).length > 0 && end > now ? end : undefined;
  }

  /** How many are kept although they are gone. */
  count(now: number): number {
    return new Map([...this.#graced(now), ...this.#stale]).size;
  }

  /** They are gone for good. @returns which */
  confirm(now: number): readonly RegisteredEndpoint[] {
    const kept = new Map([...this.#graced(now), ...this.#stale]);
    for (const path of kept.keys()) this.#lost.delete(path);
    this.#stale.clear();
    return [...kept.values()].map(({ endpoint }) => endpoint);
  }

  /** One for each service that has such endpoints. */
  problems(now: number): readonly Problem[] {
    const kept = [...new Map([...this.#graced(now), ...this.#stale]).values()].map(({ endpoint }) => endpoint);
    const services = Map.groupBy(kept, ({ namespace, service }) => `${namespace}/${service}`);
    return [...services].map(([service, endpoints]) => ({
      code: "ENDPOINTS_STALE",
      severity: "warning",
      subject: `service ${service}`,
      text: `${endpoints.length === 1 ? "An endpoint is" : `${endpoints.length} endpoints are`} kept although the registration vanished without a word: ${endpoints.slice(0, NAMED).map(nameOf).join(", ")}`,
      hint: "They go where they do not return soon; where too many vanished at once, after svcproxy confirm",
    }));
  }
}

/** Whether nobody said that it is not ready, or about to end. */
export function isInUse({ ready, terminating }: RegisteredEndpoint): boolean {
  return ready && !terminating;
}

/** So many are named. */
const NAMED = 5;

function nameOf({ id, address, port }: RegisteredEndpoint): string {
  const at = port === undefined ? address : formatSocketAddress({ address, port });
  return id === at ? at : `${id} (${at})`;
}
