import { EnvironmentError } from "@svcproxy/topology";
import type { EtcdClient } from "../client/etcd-client.ts";
import { EtcdError } from "../client/etcd-error.ts";
import { grantLease, keepLease, revokeLease } from "../client/etcd-lease.ts";
import { commit, readKey } from "../client/etcd-store.ts";

export interface LeaseHolderOptions {
  readonly client: EtcdClient;
  readonly key: string;
  readonly ttlSeconds: number;
  readonly signal: AbortSignal;
}

/**
 * A key under a lease. `keep` makes it hold a value, again and again: where the lease has lapsed, or etcd is one that knows nothing of it, the
 * key is put back.
 */
export class LeaseHolder {
  readonly #options: LeaseHolderOptions;
  #lease: string | undefined;
  #value: string | undefined;

  constructor(options: LeaseHolderOptions) {
    this.#options = options;
  }

  get isHeld(): boolean {
    return this.#lease !== undefined;
  }

  /**
   * @returns whether it had to be written
   * @throws EnvironmentError REGISTERED_ELSEWHERE where another took the key over; EtcdError
   */
  async keep(value: string): Promise<boolean> {
    const { client, key, signal } = this.#options;
    const lease = this.#lease;
    if (lease !== undefined && (await keepLease(client, lease, signal))) {
      const { entry } = await readKey(client, key, { signal });
      if (entry !== undefined && entry.lease !== lease && entry.lease !== "0") throw takenOver(key);
      if (entry?.lease === lease && this.#value === value) return false;
    } else this.#lease = undefined;
    await this.#write(value);
    return true;
  }

  async #write(value: string): Promise<void> {
    const { client, key, ttlSeconds, signal } = this.#options;
    this.#lease ??= await grantLease(client, { ttlSeconds, signal });
    try {
      const put = { kind: "put", key, value, lease: this.#lease } as const;
      await commit(client, [put], { doing: `write ${key}`, isOnce: false, signal });
    } catch (error) {
      if (error instanceof EtcdError && error.failure === "no-lease") this.#lease = undefined;
      throw error;
    }
    this.#value = value;
  }

  /** Says a last word, and takes the key away. @throws EtcdError */
  async release(lastValue: string): Promise<void> {
    const { client, signal } = this.#options;
    if (this.#lease === undefined) return;
    if (this.#value !== lastValue) await this.#write(lastValue);
    await revokeLease(client, this.#lease, signal);
    this.#lease = undefined;
    this.#value = undefined;
  }
}

function takenOver(key: string): EnvironmentError {
  return new EnvironmentError("REGISTERED_ELSEWHERE", `Another svcproxy register took ${key} over`, {
    hint: "Give each endpoint of a service another --id, or run one of them alone",
  });
}
