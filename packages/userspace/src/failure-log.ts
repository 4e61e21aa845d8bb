import type { Logger } from "pino";
import type { DialFailureReport } from "./workers/worker-reports.ts";

/** One line for an endpoint and error in this time; the next one says how many were left out. */
const QUIET_MS = 10_000;
/** Beyond this the oldest are forgotten. */
const MAX_REMEMBERED = 4_096;

/** Logs dials that failed, at a bounded rate. */
export class FailureLog {
  readonly #logger: Logger;
  readonly #nowMs: () => number;
  readonly #seen = new Map<string, { untilMs: number; suppressed: number }>();

  constructor(logger: Logger, nowMs: () => number = Date.now) {
    this.#logger = logger;
    this.#nowMs = nowMs;
  }

  dialFailed({ frontend, service, endpoint, code, local }: DialFailureReport): void {
    const nowMs = this.#nowMs();
    const key = `${endpoint} ${code}`;
    const seen = this.#seen.get(key);
    if (seen !== undefined && nowMs < seen.untilMs) {
      seen.suppressed++;
      return;
    }
    this.#seen.delete(key);
    this.#seen.set(key, { untilMs: nowMs + QUIET_MS, suppressed: 0 });
    if (this.#seen.size > MAX_REMEMBERED) {
      const oldest = this.#seen.keys().next();
      if (oldest.done !== true) this.#seen.delete(oldest.value);
    }
    const suppressed = seen?.suppressed ?? 0;
    const more = suppressed === 0 ? {} : { suppressed };
    const text = local ? "this host cannot dial" : "endpoint failed and is passed over for a while";
    this.#logger.warn({ frontend, service, endpoint, code, ...more }, text);
  }
}
