/** Clients that stick to an endpoint of one service port; beyond this the one that came longest ago is forgotten. */
const MAX_STICKY_CLIENTS = 262_144;

export interface AffinityRequest {
  /** `FrontendSpec.affinityKey`. */
  readonly key: string;
  readonly timeoutMs: number;
  /** Keys of the endpoints that may be chosen, and the one that a new client gets. */
  readonly endpoints: readonly string[];
  readonly proposal: string;
}

/** An endpoint to which a client sticks from now on. */
export interface AffinityChoice {
  readonly key: string;
  readonly timeoutMs: number;
  readonly endpoint: string;
}

interface Sticky {
  readonly endpoint: string;
  readonly untilMs: number;
}

/** To which endpoint each client sticks: ClientIP affinity, for as long as its timeout after the last connection. */
export class AffinityTable {
  readonly #clientsOfKey = new Map<string, Map<string, Sticky>>();

  /** @returns the endpoint that the client had, where it may still be chosen, else the proposal */
  choose(client: string, { key, timeoutMs, endpoints, proposal }: AffinityRequest, nowMs: number): string {
    const known = this.#clientsOfKey.get(key)?.get(client);
    const isValid = known !== undefined && known.untilMs > nowMs && endpoints.includes(known.endpoint);
    const endpoint = isValid ? known.endpoint : proposal;
    this.move(client, { key, timeoutMs, endpoint }, nowMs);
    return endpoint;
  }

  /** The endpoint that a client had did not answer; this one did. */
  move(client: string, { key, timeoutMs, endpoint }: AffinityChoice, nowMs: number): void {
    let clients = this.#clientsOfKey.get(key);
    if (clients === undefined) {
      clients = new Map();
      this.#clientsOfKey.set(key, clients);
    }
    // Taken out and put in again: the map's order is the order of use.
    clients.delete(client);
    clients.set(client, { endpoint, untilMs: nowMs + timeoutMs });
    if (clients.size <= MAX_STICKY_CLIENTS) return;
    const oldest = clients.keys().next();
    if (oldest.done !== true) clients.delete(oldest.value);
  }

  /** Forgets what is over. Call now and then. */
  sweep(nowMs: number): void {
    for (const [key, clients] of this.#clientsOfKey) {
      for (const [client, { untilMs }] of clients) {
        // The order of use is the order in which they end.
        if (untilMs > nowMs) break;
        clients.delete(client);
      }
      if (clients.size === 0) this.#clientsOfKey.delete(key);
    }
  }

  /** Clients that stick. */
  get size(): number {
    let size = 0;
    for (const clients of this.#clientsOfKey.values()) size += clients.size;
    return size;
  }
}
