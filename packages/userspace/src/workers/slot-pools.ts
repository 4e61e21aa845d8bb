import { SlotPool } from "./slot-pool.ts";
import { ALL_CONNECTIONS } from "./worker-messages.ts";

/** What one worker has of one pool. */
interface Loan<Worker> {
  readonly worker: Worker;
  slots: number;
}

interface NamedPool<Worker> {
  readonly pool: SlotPool<Loan<Worker>>;
  readonly loans: Map<Worker, Loan<Worker>>;
}

/** The slots of all connections, and of each client that has one; lent to workers. */
export class SlotPools<Worker> {
  readonly #sizes: { readonly maxConnections: number; readonly maxPerClient: number };
  readonly #callBack: (from: Worker, pool: string) => void;
  readonly #grant: (to: Worker, loan: { pool: string; granted: number }) => void;
  readonly #pools = new Map<string, NamedPool<Worker>>();

  constructor({
    sizes,
    callBack,
    grant,
  }: {
    sizes: { readonly maxConnections: number; readonly maxPerClient: number };
    callBack: (from: Worker, pool: string) => void;
    grant: (to: Worker, loan: { pool: string; granted: number }) => void;
  }) {
    this.#sizes = sizes;
    this.#callBack = callBack;
    this.#grant = grant;
  }

  want(name: string, worker: Worker): void {
    const { pool, loans } = this.#find(name);
    let loan = loans.get(worker);
    if (loan === undefined) {
      loan = { worker, slots: 0 };
      loans.set(worker, loan);
    }
    pool.want(
      loan,
      [...loans.values()].filter((other) => other !== loan),
    );
  }

  #find(name: string): NamedPool<Worker> {
    const known = this.#pools.get(name);
    if (known !== undefined) return known;
    const named: NamedPool<Worker> = {
      pool: new SlotPool({
        size: name === ALL_CONNECTIONS ? this.#sizes.maxConnections : this.#sizes.maxPerClient,
        callBack: ({ worker }) => this.#callBack(worker, name),
        grant: ({ worker }, granted) => this.#grant(worker, { pool: name, granted }),
      }),
      loans: new Map(),
    };
    this.#pools.set(name, named);
    return named;
  }

  gaveBack(name: string, { worker, slots }: { worker: Worker; slots: number }): void {
    const named = this.#pools.get(name);
    const loan = named?.loans.get(worker);
    if (named === undefined || loan === undefined) return;
    named.pool.gaveBack(loan, slots);
    this.#forgetIfUnused(name, named);
  }

  /** A worker has died. */
  gone(worker: Worker): void {
    for (const [name, named] of this.#pools) {
      const loan = named.loans.get(worker);
      if (loan === undefined) continue;
      named.loans.delete(worker);
      named.pool.gone(loan);
      this.#forgetIfUnused(name, named);
    }
  }

  #forgetIfUnused(name: string, { pool, loans }: NamedPool<Worker>): void {
    if (pool.isAsked || [...loans.values()].some(({ slots }) => slots > 0)) return;
    this.#pools.delete(name);
  }

  /** Pools of which something is lent. */
  get size(): number {
    return this.#pools.size;
  }
}
