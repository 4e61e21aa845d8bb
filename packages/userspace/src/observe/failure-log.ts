import type { Logger } from "pino";

export interface Failure {
  /** What counts as the same failure: only one line of a kind is written in a while. */
  readonly kind: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** One line of a kind of failure in this time; those in between are counted. */
const QUIET_MS = 10_000;

/** Kinds that are remembered; beyond, all share one. Bounds memory where kinds name endpoints. */
const MAX_KINDS = 1_000;

const OTHER_KINDS: Pick<Failure, "kind"> = { kind: "other" };

/**
 * Logs failures without letting a flood of them become a flood of lines: the first of a kind at once, then at most one
 * every ten seconds, which says how many were left out (`suppressed`). A failing endpoint under load costs a Map look-up.
 */
export class FailureLog {
  readonly #logger: Logger;
  readonly #kinds = new Map<string, KindState>();
  readonly #sweep: NodeJS.Timeout;

  constructor(logger: Logger) {
    this.#logger = logger;
    this.#sweep = setInterval(() => this.#flush(), QUIET_MS);
    this.#sweep.unref();
  }

  report(failure: Failure): void {
    const kind = this.#kinds.has(failure.kind) || this.#kinds.size < MAX_KINDS ? failure.kind : OTHER_KINDS.kind;
    const state = this.#kinds.get(kind);
    if (state === undefined) {
      this.#kinds.set(kind, { suppressed: 0, last: failure });
      this.#logger.warn(failure.fields, failure.message);
    } else {
      state.suppressed++;
      state.last = failure;
    }
  }

  /** Writes what was held back. */
  close(): void {
    clearInterval(this.#sweep);
    this.#flush();
  }

  #flush(): void {
    for (const [kind, state] of this.#kinds) {
      if (state.suppressed === 0) {
        this.#kinds.delete(kind);
      } else {
        this.#logger.warn({ ...state.last.fields, suppressed: state.suppressed }, state.last.message);
        state.suppressed = 0;
      }
    }
  }
}

interface KindState {
  suppressed: number;
  last: Failure;
}
