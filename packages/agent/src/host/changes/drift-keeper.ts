import type { Difference } from "@svcproxy/host";
import type { Problem } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { Writer } from "./change-monitors.ts";

/** One time that another program's change was undone. */
export interface Mended {
  readonly at: Date;
  readonly by: Writer | undefined;
  /** What was gone or otherwise, in the data path's words; some of it. */
  readonly what: readonly string[];
  readonly count: number;
}

export interface DriftKeeperOptions {
  /** Looks at everything and mends it. @returns what was found; undefined: it could not be done */
  readonly mend: () => Promise<readonly Difference[] | undefined>;
  readonly logger: Logger;
}

/** Changes that come together are looked at together. */
const COLLECT_MS = 20;
/** The same so many times within so long is no coincidence: somebody undoes what we do. */
const CONTESTED_AFTER = 5;
const CONTESTED_WITHIN_MS = 30_000;
/** Whoever has done so this often, each time so soon after it was mended, is let be: it would go on like that without an end. */
const LET_BE_AFTER = 10;
const ANSWERED_WITHIN_MS = 2_000;
/** For how long: at first, and at most. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** So many differences are named; the number tells of the rest. */
const NAMED = 5;
/** So many of them, and of what was mended before, are compared. */
const COMPARED = 100;
const COMPARED_TIMES = 10;

/** Undoes what other programs do to what is ours, and backs off where one of them undoes that again and again. */
export class DriftKeeper {
  readonly #options: DriftKeeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isNoticed = false;
  #isStopped = false;
  #by: Writer | undefined;
  #noticedAtMs = 0;
  /** What was mended of late. */
  #recent: ReadonlySet<string>[] = [];
  #mendedAtMs = 0;
  /** When something was mended that had been mended shortly before, */
  #againAtMs: readonly number[] = [];
  /** and how often now, without a pause in between. */
  #answers = 0;
  #pauseMs = 0;
  #mayLookAtMs = 0;
  #last: Mended | undefined;
  #mendedCount = 0;
  #lookMs = 0;

  constructor(options: DriftKeeperOptions) {
    this.#options = options;
  }

  get mendedCount(): number {
    return this.#mendedCount;
  }

  get last(): Mended | undefined {
    return this.#last;
  }

  /** How long the last look took. */
  get lookMs(): number {
    return this.#lookMs;
  }

  /** Set while somebody undoes again and again what is mended. */
  get problem(): Problem | undefined {
    this.#calmDown();
    if (!this.#isContested) return undefined;
    const deed = this.#pauseMs === 0 ? "undone at once" : `let be for ${this.#pauseMs / 1000} s`;
    return {
      code: "RULES_CONTESTED",
      severity: "error",
      subject: "this host",
      text: `${nameWriter(this.#last?.by)} changes what is ours again and again, and is ${deed} each time`,
      hint: "Find out why it does so, and end one of the two",
    };
  }

  get #isContested(): boolean {
    return this.#pauseMs > 0 || this.#againAtMs.length + 1 >= CONTESTED_AFTER;
  }

  /** Somebody may have changed what is ours. */
  noticed(by: Writer | undefined): void {
    this.#by = by ?? this.#by;
    if (!this.#isNoticed) this.#noticedAtMs = performance.now();
    this.#isNoticed = true;
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#isLooking || this.#isStopped) return;
    const delayMs = Math.max(COLLECT_MS, this.#mayLookAtMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#look();
    }, delayMs);
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    this.#isNoticed = false;
    const [by, noticedAtMs] = [this.#by, this.#noticedAtMs];
    this.#by = undefined;
    const startedMs = performance.now();
    const found = await this.#options.mend();
    const endedMs = performance.now();
    this.#lookMs = endedMs - startedMs;
    // Of a machine that is busy with us half is enough.
    this.#mayLookAtMs = endedMs + this.#lookMs;
    this.#isLooking = false;
    if (found !== undefined && found.length > 0) this.#mended(found, { by, noticedAtMs });
    if (this.#isNoticed) this.#schedule();
  }

  #mended(
    found: readonly Difference[],
    { by, noticedAtMs }: { readonly by: Writer | undefined; readonly noticedAtMs: number },
  ): void {
    this.#calmDown();
    const what = found.slice(0, NAMED).map(({ place, kind }) => `${place}: ${kind}`);
    this.#last = { at: new Date(), by, what, count: found.length };
    this.#mendedCount += 1;
    this.#options.logger.warn(
      { writer: by, what, differences: found.length },
      `${nameWriter(by)} changed what is ours; mended ${found.length} ${found.length === 1 ? "difference" : "differences"}: ${what.join(", ")}`,
    );
    const wasContested = this.#isContested;
    const pausedMs = this.#pauseMs;
    this.#judge(found, noticedAtMs);
    if (!this.#isContested || (wasContested && this.#pauseMs <= pausedMs)) return;
    const { code, text, hint } = this.problem ?? {};
    this.#options.logger.error({ code }, `${text}: ${hint}`);
  }

  /** Whether somebody undoes what we mend, and how long to let them be. A person who tries this and that does not. */
  #judge(found: readonly Difference[], noticedAtMs: number): void {
    const nowMs = performance.now();
    const places = new Set(found.slice(0, COMPARED).map(({ place, kind }) => `${place}: ${kind}`));
    const isAgain = this.#recent.some((before) => [...places].some((one) => before.has(one)));
    const isAnswer = isAgain && noticedAtMs - this.#mendedAtMs < ANSWERED_WITHIN_MS;
    this.#recent = [...this.#recent, places].slice(-COMPARED_TIMES);
    this.#mendedAtMs = nowMs;
    const recentAtMs = this.#againAtMs.filter((ms) => ms > nowMs - CONTESTED_WITHIN_MS);
    this.#againAtMs = isAgain ? [...recentAtMs, nowMs] : recentAtMs;
    this.#answers = isAnswer ? this.#answers + 1 : 0;
    if (!isAnswer) this.#pauseMs = 0;
    else if (this.#pauseMs > 0) this.#pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * this.#pauseMs);
    else if (this.#answers + 1 >= LET_BE_AFTER) this.#pauseMs = FIRST_PAUSE_MS;
    if (this.#pauseMs > 0) this.#mayLookAtMs = nowMs + this.#pauseMs;
  }

  /** Nobody changed anything for longer than we let them be. */
  #calmDown(): void {
    const isCalmAfterMs = Math.max(CONTESTED_WITHIN_MS, 2 * this.#pauseMs);
    if (performance.now() - this.#mendedAtMs < isCalmAfterMs) return;
    this.#recent = [];
    this.#againAtMs = [];
    this.#answers = 0;
    this.#pauseMs = 0;
  }
}

function nameWriter({ pid, program }: Writer = {}): string {
  if (program === undefined) return "Another program";
  return pid === undefined ? program : `${program} (pid ${pid})`;
}
