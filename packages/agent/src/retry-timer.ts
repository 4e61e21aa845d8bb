/** A first try again comes after this, each further one after twice as long. */
const FIRST_MS = 1_000;

/** When something that failed is tried again: later each time. */
export class RetryTimer {
  readonly #longestMs: number;
  readonly #retry: () => void;
  #timer: NodeJS.Timeout | undefined;
  #delayMs = 0;
  /** Undefined where nothing is to be tried again. */
  at: Date | undefined;

  constructor(retry: () => void, { longestMs }: { readonly longestMs: number }) {
    this.#retry = retry;
    this.#longestMs = longestMs;
  }

  /** It failed. */
  failed(): void {
    this.cancel();
    this.#delayMs = Math.min(this.#longestMs, this.#delayMs === 0 ? FIRST_MS : 2 * this.#delayMs);
    this.at = new Date(Date.now() + this.#delayMs);
    this.#timer = setTimeout(this.#retry, this.#delayMs);
  }

  succeeded(): void {
    this.cancel();
    this.#delayMs = 0;
  }

  /** It is tried now, or never. */
  cancel(): void {
    clearTimeout(this.#timer);
    this.at = undefined;
  }
}
