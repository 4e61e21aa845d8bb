/** Slots lent to a worker at a time. */
const SLOTS_AT_ONCE = 16;

export interface SlotBorrower {
  /** Lent and not given back. */
  slots: number;
}

/** `maxConnections` for all workers: lent in bulk, called back when they run out. */
export class SlotPool<Borrower extends SlotBorrower> {
  readonly #callBack: (from: Borrower) => void;
  readonly #grant: (to: Borrower, slots: number) => void;
  readonly #asking: Borrower[] = [];
  /** Those that were told to give back and have not answered. */
  readonly #called = new Set<Borrower>();
  #free: number;

  constructor({
    size,
    callBack,
    grant,
  }: {
    size: number;
    callBack: (from: Borrower) => void;
    grant: (to: Borrower, slots: number) => void;
  }) {
    this.#free = size;
    this.#callBack = callBack;
    this.#grant = grant;
  }

  /** @param others all borrowers but this one */
  want(borrower: Borrower, others: readonly Borrower[]): void {
    this.#asking.push(borrower);
    if (this.#free === 0 && this.#called.size === 0) {
      for (const other of others) {
        this.#called.add(other);
        this.#callBack(other);
      }
    }
    this.#serve();
  }

  gaveBack(borrower: Borrower, slots: number): void {
    borrower.slots -= slots;
    this.#free += slots;
    this.#called.delete(borrower);
    this.#serve();
  }

  /** Somebody waits for slots, or was told to give some back. */
  get isAsked(): boolean {
    return this.#asking.length > 0 || this.#called.size > 0;
  }

  /** A worker has died. */
  gone(borrower: Borrower): void {
    const index = this.#asking.indexOf(borrower);
    if (index >= 0) this.#asking.splice(index, 1);
    this.gaveBack(borrower, borrower.slots);
  }

  #serve(): void {
    while (this.#asking.length > 0 && (this.#free > 0 || this.#called.size === 0)) {
      const borrower = this.#asking.shift();
      if (borrower === undefined) return;
      const granted = Math.min(SLOTS_AT_ONCE, this.#free);
      this.#free -= granted;
      borrower.slots += granted;
      this.#grant(borrower, granted);
    }
  }
}
