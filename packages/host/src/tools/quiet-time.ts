/** Does something once nothing has happened for a while. */
export class QuietTime {
  readonly #delayMs: number;
  readonly #work: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor({ delayMs, work }: { readonly delayMs: number; readonly work: () => void }) {
    this.#delayMs = delayMs;
    this.#work = work;
  }

  /** Begins to wait anew. */
  restart(): void {
    this.stop();
    this.#timer = setTimeout(this.#work, this.#delayMs);
    // It keeps no program from ending.
    this.#timer.unref();
  }

  /** Waits no more. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
