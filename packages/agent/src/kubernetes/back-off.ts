/** How long to wait before something that failed is tried again: twice as long each time, and never all hosts at the same moment. */
export class BackOff {
  readonly #firstMs: number;
  readonly #longestMs: number;
  #nextMs: number;

  constructor({ firstMs, longestMs }: { readonly firstMs: number; readonly longestMs: number }) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
    this.#nextMs = firstMs;
  }

  /** @param leastMs what the other side asked for */
  failed(leastMs = 0): number {
    const delayMs = this.#nextMs;
    this.#nextMs = Math.min(this.#longestMs, 2 * this.#nextMs);
    return Math.max(leastMs, delayMs) * (1 + Math.random() / 2);
  }

  succeeded(): void {
    this.#nextMs = this.#firstMs;
  }
}
