import type { Logger } from "pino";
import type { DialFailureReport, OverLimitReport } from "./workers/worker-reports.ts";

/** One line for an endpoint and error, or for a limit, in this time; the next one says how many were left out. */
const QUIET_MS = 10_000;
/** Beyond this the oldest are forgotten. */
const MAX_REMEMBERED = 4_096;

const OVER_LIMIT = {
  "max-connections": "new connections are turned away: there are as many as open files or --max-connections allow",
  "max-per-client": "new connections are turned away: their client has as many as --max-per-client allows",
} as const;

/** Logs dials that failed, and limits that were met, at a bounded rate. */
export class FailureLog {
  readonly #logger: Logger;
  readonly #nowMs: () => number;
  readonly #seen = new Map<string, { untilMs: number; suppressed: number }>();

  constructor(logger: Logger, nowMs: () => number = Date.now) {
    this.#logger = logger;
    this.#nowMs = nowMs;
  }

  dialFailed({ frontend, service, endpoint, code, local }: DialFailureReport): void {
    const suppressed = this.#due(`${endpoint} ${code}`);
    if (suppressed === undefined) return;
    const more = suppressed === 0 ? {} : { suppressed };
    const text = local ? "this host cannot dial" : "endpoint failed and is passed over for a while";
    this.#logger.warn({ frontend, service, endpoint, code, ...more }, text);
  }

  overLimit({ frontend, service, limit }: OverLimitReport): void {
    if (this.#due(limit) !== undefined) this.#logger.warn({ frontend, service, limit }, OVER_LIMIT[limit]);
  }

  /** How many were left out before this one; undefined: it is left out too. */
  #due(key: string): number | undefined {
    const nowMs = this.#nowMs();
    const seen = this.#seen.get(key);
    if (seen !== undefined && nowMs < seen.untilMs) {
      seen.suppressed++;
      return undefined;
    }
    this.#seen.delete(key);
    this.#seen.set(key, { untilMs: nowMs + QUIET_MS, suppressed: 0 });
    if (this.#seen.size > MAX_REMEMBERED) {
      const oldest = this.#seen.keys().next();
      if (oldest.done !== true) this.#seen.delete(oldest.value);
    }
    return seen?.suppressed ?? 0;
  }
}
