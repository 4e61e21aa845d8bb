import { type AffinityChoice, type AffinityRequest, AffinityTable } from "./affinity-table.ts";

export interface AdmissionRequest {
  readonly client: string;
  /** Whether the connection counts for the limits. */
  readonly counted: boolean;
  readonly affinity?: AffinityRequest;
}

export type Admission =
  | { readonly kind: "refused"; readonly by: "max-connections" | "max-per-client" }
  /** `endpoint` where affinity was asked for. */
  | { readonly kind: "admitted"; readonly endpoint?: string };

/** Waits for an admission; one object a connection, so that no closure is made. */
export interface AdmissionWaiter {
  onAdmission(admission: Admission): void;
}

/** What must hold for all workers together: how many connections there are, and to which endpoints clients stick. */
export interface ConnectionLimiter {
  /** Answers once, at once where it can. */
  admit(request: AdmissionRequest, waiter: AdmissionWaiter): void;
  /** A counted connection of this client is over. */
  leave(client: string): void;
  move(client: string, choice: AffinityChoice): void;
  /** Call now and then: forgets what is over. */
  sweep(): void;
}

export interface ConnectionLimits {
  /** 0: no limit. */
  readonly maxConnections: number;
  /** 0: no limit. */
  readonly maxPerClient: number;
}

/** Counts in this process. */
export class LocalLimiter implements ConnectionLimiter {
  readonly #limits: ConnectionLimits;
  readonly #nowMs: () => number;
  readonly #affinity = new AffinityTable();
  readonly #perClient = new Map<string, number>();
  #connections = 0;

  constructor(limits: ConnectionLimits, nowMs: () => number) {
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  admit(request: AdmissionRequest, waiter: AdmissionWaiter): void {
    waiter.onAdmission(this.decide(request));
  }

  decide({ client, counted, affinity }: AdmissionRequest): Admission {
    const by = counted ? this.#enter(client) : undefined;
    if (by !== undefined) return { kind: "refused", by };
    if (affinity === undefined) return { kind: "admitted" };
    return { kind: "admitted", endpoint: this.#affinity.choose(client, affinity, this.#nowMs()) };
  }

  /** Undefined: it is in, and counted. */
  #enter(client: string): "max-connections" | "max-per-client" | undefined {
    const { maxConnections, maxPerClient } = this.#limits;
    const count = this.#perClient.get(client) ?? 0;
    if (maxConnections > 0 && this.#connections >= maxConnections) return "max-connections";
    if (maxPerClient > 0 && count >= maxPerClient) return "max-per-client";
    this.#connections++;
    this.#perClient.set(client, count + 1);
    return undefined;
  }

  leave(client: string): void {
    const count = this.#perClient.get(client);
    if (count === undefined) return;
    this.#connections--;
    if (count === 1) this.#perClient.delete(client);
    else this.#perClient.set(client, count - 1);
  }

  move(client: string, choice: AffinityChoice): void {
    this.#affinity.move(client, choice, this.#nowMs());
  }

  sweep(): void {
    this.#affinity.sweep(this.#nowMs());
  }

  /** Counted connections, the clients that have them, and the clients that stick. */
  get size(): { readonly connections: number; readonly clients: number; readonly sticky: number } {
    return { connections: this.#connections, clients: this.#perClient.size, sticky: this.#affinity.size };
  }
}
