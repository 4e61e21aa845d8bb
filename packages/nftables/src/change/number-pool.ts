import { MAX_NUMBER } from "../table/classid.ts";

/**
 * Numbers from 1 to MAX_NUMBER, each for one holder. A number that comes back is given again as late as can be: who still holds it for
 * a moment (a packet on its way, an affinity map for hours) is not misled.
 */
export class NumberPool {
  readonly #taken: Set<number>;
  #last: number;

  /** @param last the number that was given last; default: the highest that is taken */
  constructor(taken: Iterable<number> = [], last?: number) {
    this.#taken = new Set(taken);
    this.#last = last ?? 0;
    if (last === undefined) for (const number of this.#taken) this.#last = Math.max(this.#last, number);
  }

  /** @returns undefined where all are taken */
  take(): number | undefined {
    if (this.#taken.size >= MAX_NUMBER) return undefined;
    do this.#last = (this.#last % MAX_NUMBER) + 1;
    while (this.#taken.has(this.#last));
    this.#taken.add(this.#last);
    return this.#last;
  }

  release(number: number): void {
    this.#taken.delete(number);
  }
}
