import type { Difference } from "@svcproxy/host";
import type { Problem } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { Writer } from "./kernel-watch.ts";

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
/** So many times within so long is no coincidence: somebody undoes what we do. */
const CONTESTED_AFTER = 5;
const CONTESTED_WITHIN_MS = 30_000;
/** How long whoever does so is let be: at first, and at most. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** So many differences are named; the number tells of the rest. */
const NAMED = 5;

/** Undoes what other programs do to what is ours, and backs off where one of them undoes that again and again. */
export class DriftKeeper {
  readonly #options: DriftKeeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isNoticed = false;
  #isStopped = false;
  #by: Writer | undefined;
  #recentMs: number[] = [];
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
    if (this.#pauseMs === 0) return undefined;
    return {
      code: "RULES_CONTESTED",
      severity: "error",
      subject: "this host",
      text: `${nameWriter(this.#last?.by)} changes what is ours again and again, and is let be for ${this.#pauseMs / 1000} s each time`,
      hint: "Find out why it does so, and end one of the two",
    };
  }

  /** Somebody may have changed what is ours. */
  noticed(by: Writer | undefined): void {
    this.#by = by ?? this.#by;
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
    const by = this.#by;
    this.#by = undefined;
    const startedMs = performance.now();
    const found = await this.#options.mend();
    const endedMs = performance.now();
    this.#lookMs = endedMs - startedMs;
    // Of a machine that is busy with us half is enough.
    this.#mayLookAtMs = endedMs + this.#lookMs;
    this.#isLooking = false;
    if (found !== undefined && found.length > 0) this.#mended(found, by);
    if (this.#isNoticed) this.#schedule();
  }

  #mended(found: readonly Difference[], by: Writer | undefined): void {
    this.#calmDown();
    const nowMs = performance.now();
    const what = found.slice(0, NAMED).map(({ place, kind }) => `${place}: ${kind}`);
    this.#last = { at: new Date(), by, what, count: found.length };
    this.#mendedCount += 1;
    this.#options.logger.warn(
      { writer: by, what, differences: found.length },
      `${nameWriter(by)} changed what is ours; mended ${found.length} ${found.length === 1 ? "difference" : "differences"}: ${what.join(", ")}`,
    );
    const withinMs = Math.max(CONTESTED_WITHIN_MS, 2 * this.#pauseMs);
    this.#recentMs = [...this.#recentMs.filter((ms) => ms > nowMs - withinMs), nowMs].slice(-CONTESTED_AFTER);
    if (this.#pauseMs === 0 && this.#recentMs.length < CONTESTED_AFTER) return;
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs === 0 ? FIRST_PAUSE_MS : 2 * this.#pauseMs);
    this.#mayLookAtMs = nowMs + this.#pauseMs;
    const { code, text, hint } = this.problem ?? {};
    this.#options.logger.error({ code }, `${text}: ${hint}`);
  }

  /** Nobody changed anything for longer than we let them be. */
  #calmDown(): void {
    const lastMs = this.#recentMs.at(-1);
    if (lastMs === undefined || performance.now() - lastMs < Math.max(CONTESTED_WITHIN_MS, 2 * this.#pauseMs)) return;
    this.#recentMs = [];
    this.#pauseMs = 0;
  }
}

export function nameWriter({ pid, program }: Writer = {}): string {
  if (program === undefined) return "Another program";
  return pid === undefined ? program : `${program} (pid ${pid})`;
}
