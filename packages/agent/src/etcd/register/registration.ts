import { setTimeout as delay } from "node:timers/promises";
import { EnvironmentError } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { EtcdClient } from "../client/etcd-client.ts";
import { Health, type HealthThresholds } from "./health.ts";
import { LeaseHolder } from "./lease-holder.ts";
import type { Check } from "./parse-check.ts";
import { runCheck } from "./run-check.ts";

export interface RegistrationOptions extends HealthThresholds {
  readonly client: EtcdClient;
  /** Of its entry. */
  readonly key: string;
  /** For people: `default/web as 10.5.75.2:3000`. */
  readonly name: string;
  readonly endpoint: { readonly address: string; readonly host?: string };
  readonly check: Check;
  readonly intervalMs: number;
  readonly drainMs: number;
  readonly ttlSeconds: number;
  readonly logger: Logger;
  /** It is in etcd, or is not any more. */
  readonly onState?: (state: "registered" | "unwell" | "out of reach") => void;
}

/** What is wanted of the key. */
type Wanted = "in use" | "gone" | "terminating";

const LONGEST_RETRY_MS = 2_000;

/** Keeps an endpoint's entry in etcd while the endpoint is well. */
export class Registration {
  readonly #options: RegistrationOptions;
  readonly #health: Health;
  readonly #holder: LeaseHolder;
  readonly #ending = new AbortController();
  #wanted: Wanted = "gone";
  #news = Promise.withResolvers<void>();
  #isReached = true;
  #failures = 0;

  constructor(options: RegistrationOptions) {
    this.#options = options;
    this.#health = new Health(options);
    const { client, key, ttlSeconds } = options;
    this.#holder = new LeaseHolder({ client, key, ttlSeconds, signal: this.#ending.signal });
  }

  /**
   * Until `stop`: then it is terminating for `drainMs`, and then gone.
   *
   * @param hurry aborted where the drain is not to be waited for
   * @throws EnvironmentError REGISTERED_ELSEWHERE
   */
  async run({ stop, hurry }: { readonly stop: AbortSignal; readonly hurry: AbortSignal }): Promise<void> {
    const keeping = this.#keep();
    const checking = this.#checkUntil(stop);
    try {
      await Promise.race([keeping, checking]);
      await this.#withdraw(hurry);
    } finally {
      this.#ending.abort();
      this.#news.resolve();
      await Promise.allSettled([keeping, checking]);
    }
  }

  async #checkUntil(stop: AbortSignal): Promise<void> {
    const { check, intervalMs, logger, name, rise, fall } = this.#options;
    const signal = AbortSignal.any([stop, this.#ending.signal]);
    let failures = 0;
    while (!signal.aborted) {
      const startedMs = performance.now();
      const why = await runCheck(check, { timeoutMs: intervalMs, signal });
      if (signal.aborted) return;
      failures = why === undefined ? 0 : failures + 1;
      if (failures === 1) logger.warn(`the check of ${name} fails: ${why}`);
      if (this.#health.take(why === undefined)) {
        if (this.#health.isWell) logger.info(`${name}: ${rise} checks in a row pass`);
        else {
          logger.warn(`${name}: ${fall} checks in a row fail, the last because ${why}`);
          this.#options.onState?.("unwell");
        }
        this.#want(this.#health.isWell ? "in use" : "gone");
      }
      const restMs = intervalMs - (performance.now() - startedMs);
      await delay(Math.max(0, restMs), undefined, { signal }).catch(() => {});
    }
  }

  #want(wanted: Wanted): void {
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    this.#news.resolve();
  }

  /** Makes etcd hold what is wanted, whenever that changes, and before the lease lapses. */
  async #keep(): Promise<void> {
    const { signal } = this.#ending;
    const everyMs = (this.#options.ttlSeconds * 1_000) / 3;
    while (!signal.aborted) {
      this.#news = Promise.withResolvers<void>();
      const waitMs = (await this.#tryOnce()) ? everyMs : Math.min(LONGEST_RETRY_MS, 250 * 2 ** this.#failures++);
      const timer = setTimeout(() => this.#news.resolve(), waitMs);
      await this.#news.promise;
      clearTimeout(timer);
    }
  }

  /** @returns whether etcd holds what is wanted @throws EnvironmentError REGISTERED_ELSEWHERE */
  async #tryOnce(): Promise<boolean> {
    const { logger, name, key, onState } = this.#options;
    try {
      await this.#act();
      if (!this.#isReached) logger.info(`etcd answers again, and holds what is wanted of ${key}`);
      this.#isReached = true;
      this.#failures = 0;
      return true;
    } catch (error) {
      if (this.#ending.signal.aborted) return false;
      if (!(error instanceof EnvironmentError) || error.code === "REGISTERED_ELSEWHERE") throw error;
      if (this.#isReached) logger.error({ code: error.code }, `${name}: ${error.message}; it is tried again`);
      this.#isReached = false;
      onState?.("out of reach");
      return false;
    }
  }

  async #act(): Promise<void> {
    const { endpoint, logger, name, onState } = this.#options;
    switch (this.#wanted) {
      case "in use": {
        const isAgain = this.#holder.isHeld;
        if (!(await this.#holder.keep(JSON.stringify(endpoint)))) return;
        logger.info(`${isAgain ? "put back" : "registered"} ${name}`);
        onState?.("registered");
        return;
      }
      case "terminating": {
        if (await this.#holder.keep(JSON.stringify({ ...endpoint, ready: false, serving: true, terminating: true })))
          logger.info(`${name} is terminating: new connections go to others`);
        return;
      }
      case "gone": {
        if (!this.#holder.isHeld) return;
        // Its last word says that it is meant: who vanishes without one may only be cut off.
        await this.#holder.release(JSON.stringify({ ...endpoint, ready: false, serving: false }));
        logger.info(`withdrawn ${name}`);
      }
    }
  }

  async #withdraw(hurry: AbortSignal): Promise<void> {
    const { drainMs, logger, name } = this.#options;
    if (this.#holder.isHeld && drainMs > 0 && this.#health.isWell) {
      this.#want("terminating");
      await delay(drainMs, undefined, { signal: hurry }).catch(() => {});
    }
    this.#want("gone");
    // What etcd does not take now goes when the lease lapses.
    for (let round = 0; this.#holder.isHeld && round < 20; round++) {
      this.#news.resolve();
      await delay(100);
    }
    if (this.#holder.isHeld) logger.warn(`etcd does not answer: ${name} goes when its lease lapses`);
  }
}
