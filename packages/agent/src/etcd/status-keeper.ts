import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { EtcdError } from "./client/etcd-error.ts";
import { grantLease, keepLease, revokeLease } from "./client/etcd-lease.ts";
import { commit } from "./client/etcd-store.ts";
import { statusKey } from "./etcd-layout.ts";
import { renderStatus } from "./source/canaries.ts";
import type { EtcdSource } from "./source/etcd-source.ts";

export interface StatusKeeperOptions {
  readonly source: EtcdSource;
  readonly prefix: string;
  /** How this host stands now; undefined: it has no plan yet. */
  readonly standing: () => { readonly host: string; readonly state: string } | undefined;
  readonly logger: Logger;
}

/** An agent that is gone is known to be after this long. */
const TTL_SECONDS = 30;
const LOOK_MS = 500;
/** Hosts that nobody waits for write this often at most, however much changes. */
const PACE_MS = 10_000;

/** Writes how this host stands to `status/HOST` below the prefix, under a lease, for the others to see. */
export class StatusKeeper implements AsyncDisposable {
  readonly #options: StatusKeeperOptions;
  readonly #ending = new AbortController();
  #lease: string | undefined;
  #leaseKeptAt = 0;
  #written: { readonly text: string; readonly at: number } | undefined;
  #saidFailure: string | undefined;
  readonly #running: Promise<void>;

  constructor(options: StatusKeeperOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        await this.#keep();
        this.#saidFailure = undefined;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof EtcdError)) throw error;
        this.#tell(error);
      }
      const waitMs = this.#saidFailure === undefined ? LOOK_MS : PACE_MS;
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Not being able to write it keeps nothing from being served. */
  #tell(error: EtcdError): void {
    if (this.#saidFailure === error.message) return;
    this.#saidFailure = error.message;
    this.#options.logger.warn({ code: error.code }, `this host's status cannot be written: ${error.message}`);
  }

  async #keep(): Promise<void> {
    const { source, prefix, standing } = this.#options;
    const now = performance.now();
    const { signal } = this.#ending;
    if (this.#lease !== undefined && now - this.#leaseKeptAt > (TTL_SECONDS * 1_000) / 3) {
      const isAlive = await keepLease(source.client, this.#lease, signal);
      this.#leaseKeptAt = now;
      if (!isAlive) this.#lease = undefined;
    }
    const stands = standing();
    if (stands === undefined) return;
    const { host, state } = stands;
    const { revision, isCanary } = source.taken;
    const text = renderStatus({ revision, state });
    const isNews = this.#written?.text !== text;
    const isDue = isCanary || this.#written === undefined || now - this.#written.at > PACE_MS;
    if (this.#lease !== undefined && !(isNews && isDue)) return;
    this.#lease ??= await grantLease(source.client, { ttlSeconds: TTL_SECONDS, signal });
    const put = { kind: "put", key: statusKey(prefix, host), value: text, lease: this.#lease } as const;
    try {
      await commit(source.client, [put], { doing: `write ${put.key}`, signal, isOnce: false });
    } catch (error) {
      if (error instanceof EtcdError && error.failure === "no-lease") this.#lease = undefined;
      throw error;
    }
    this.#written = { text, at: now };
  }

  /** Takes the status away. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    if (this.#lease === undefined) return;
    // A lease that cannot be given back lapses.
    await revokeLease(this.#options.source.client, this.#lease, AbortSignal.timeout(500)).catch(() => {});
  }
}
