/** Affinity entries of one service port; beyond this the oldest leaves. */
const MAX_STICKY_CLIENTS = 262_144;

export interface AdmissionRequest {
  readonly client: string;
  /** Count the client against `maxPerClient`. */
  readonly counted: boolean;
  readonly affinity?: AffinityRequest;
}

export interface AffinityRequest {
  /** `FrontendSpec.affinityKey`. */
  readonly key: string;
  readonly timeoutMs: number;
  /** Keys of the endpoints that may be chosen, and the one that a new client gets. */
  readonly endpoints: readonly string[];
  readonly proposal: string;
}

export type Admission =
  | { readonly kind: "refused" }
  /** `endpoint` where affinity was asked for. */
  | { readonly kind: "admitted"; readonly endpoint?: string };

interface Sticky {
  endpoint: string;
  untilMs: number;
}

/** Who may come in and whom clients stick to: the one truth for all workers of a proxy. */
export class Ledger {
  readonly #maxPerClient: number;
  readonly #connections = new Map<string, number>();
  readonly #sticky = new Map<string, Map<string, Sticky>>();

  /** @param maxPerClient 0: no limit */
  constructor({ maxPerClient }: { maxPerClient: number }) {
    this.#maxPerClient = maxPerClient;
  }

  admit(request: AdmissionRequest, nowMs: number): Admission {
    if (request.counted && !this.#enter(request.client)) return { kind: "refused" };
    const { affinity } = request;
    if (affinity === undefined) return { kind: "admitted" };
    return { kind: "admitted", endpoint: this.#chooseFor(request.client, affinity, nowMs) };
  }

  #enter(client: string): boolean {
    const count = this.#connections.get(client) ?? 0;
    if (this.#maxPerClient > 0 && count >= this.#maxPerClient) return false;
    this.#connections.set(client, count + 1);
    return true;
  }

  /** A counted client's connection ended. */
  leave(client: string): void {
    const count = this.#connections.get(client) ?? 0;
    if (count <= 1) this.#connections.delete(client);
    else this.#connections.set(client, count - 1);
  }

  #chooseFor(client: string, { key, timeoutMs, endpoints, proposal }: AffinityRequest, nowMs: number): string {
    const clients = this.#clientsOf(key);
    const known = clients.get(client);
    const valid = known !== undefined && known.untilMs > nowMs && endpoints.includes(known.endpoint);
    const endpoint = valid ? known.endpoint : proposal;
    this.#remember(clients, { client, endpoint, untilMs: nowMs + timeoutMs });
    return endpoint;
  }

  /** The endpoint that a client had did not answer; this one did. */
  move(
    client: string,
    { key, endpoint, timeoutMs }: { key: string; endpoint: string; timeoutMs: number },
    nowMs: number,
  ): void {
    this.#remember(this.#clientsOf(key), { client, endpoint, untilMs: nowMs + timeoutMs });
  }

  #clientsOf(key: string): Map<string, Sticky> {
    let clients = this.#sticky.get(key);
    if (clients === undefined) {
      clients = new Map();
      this.#sticky.set(key, clients);
    }
    return clients;
  }

  #remember(clients: Map<string, Sticky>, { client, endpoint, untilMs }: Sticky & { client: string }): void {
    // Taken out and put in again: the map's order is the order of use.
    clients.delete(client);
    clients.set(client, { endpoint, untilMs });
    if (clients.size <= MAX_STICKY_CLIENTS) return;
    const oldest = clients.keys().next();
    if (oldest.done !== true) clients.delete(oldest.value);
  }

  /** Forgets what is over. Call now and then. */
  sweep(nowMs: number): void {
    for (const [key, clients] of this.#sticky) {
      for (const [client, { untilMs }] of clients) {
        // The order of use is the order in which they end.
        if (untilMs > nowMs) break;
        clients.delete(client);
      }
      if (clients.size === 0) this.#sticky.delete(key);
    }
  }

  /** Clients with a counted connection, and clients that stick. */
  get size(): { clients: number; sticky: number } {
    let sticky = 0;
    for (const clients of this.#sticky.values()) sticky += clients.size;
    return { clients: this.#connections.size, sticky };
  }
}
