/** How many results in a row make it well, and unwell. */
export interface HealthThresholds {
  readonly rise: number;
  readonly fall: number;
}

/** Decides whether an endpoint is well by a row of checks; until `rise` have passed it is not. */
export class Health {
  readonly #thresholds: HealthThresholds;
  #isWell = false;
  #row = 0;

  constructor(thresholds: HealthThresholds) {
    this.#thresholds = thresholds;
  }

  get isWell(): boolean {
    return this.#isWell;
  }

  /** @returns whether that changed it */
  take(passed: boolean): boolean {
    if (passed === this.#isWell) {
      this.#row = 0;
      return false;
    }
    this.#row += 1;
    const { rise, fall } = this.#thresholds;
    if (this.#row < (passed ? rise : fall)) return false;
    this.#row = 0;
    this.#isWell = passed;
    return true;
  }
}
