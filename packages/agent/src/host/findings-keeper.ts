import process from "node:process";
import { runTool } from "@svcproxy/host";
import { EnvironmentError, type Problem, type ProblemCode, type Topology } from "@svcproxy/topology";
import type { Logger } from "pino";
import { ProblemLog } from "../problem-log.ts";

/** What is looked at: the plan in force of a host. */
export interface Served {
  readonly topology: Topology;
  readonly host: string;
}

export interface FindingsOptions {
  /** What is served now; undefined: nothing yet, or something is under way, so that a look would find what is about to change. */
  readonly served: () => Served | undefined;
  /** Looks, without a probe. @throws EnvironmentError where it cannot */
  readonly look: (served: Served, signal: AbortSignal) => Promise<readonly Problem[]>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** What was found, and when. */
export interface Findings {
  readonly lookedAt: Date;
  readonly tookMs: number;
  readonly problems: readonly Problem[];
}

/** However often somebody asks. */
const LEAST_PAUSE_MS = 30_000;
/** A look costs the CPU of some dozen tools; where nobody asks, it is only for the log and the metrics. */
const UNASKED_PAUSE_MS = 300_000;
const FIRST_PAUSE_MS = 60_000;
/**
 * Of the time that a look takes, while somebody watches: so that looking stays below a twentieth of a core. A look that takes longer is of
 * thousands of services, where whatever else is told costs as well: it gets less.
 */
const ASKED_SHARE = 1 / 20;
const SHORT_LOOK_MS = LEAST_PAUSE_MS * ASKED_SHARE;
const LONG_LOOK_SHARE = 1 / 50;
/** And where nobody does. */
const UNASKED_SHARE = 1 / 500;

/** What a change of the plan may bring or take away. */
const OF_THE_PLAN: ReadonlySet<ProblemCode> = new Set<ProblemCode>([
  "RULES_MISSING",
  "RULES_OUTDATED",
  "MASQUERADE_MISSING",
  "STALE_UDP_FLOWS",
  "POD_GONE",
  "NOTHING_LISTENS",
  "NO_READY_ENDPOINT",
  "NO_LOCAL_ENDPOINT",
]);

/** Looks from time to time what keeps services from their clients, and at once where somebody asks and the last look is old. */
export class FindingsKeeper implements Disposable {
  readonly #options: FindingsOptions;
  readonly #problemLog: ProblemLog;
  #timer: NodeJS.Timeout | undefined;
  #last: Findings | undefined;
  #lastTriedMs: number | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: FindingsOptions) {
    this.#options = options;
    this.#problemLog = new ProblemLog(options.logger);
    this.#schedule(FIRST_PAUSE_MS);
  }

  /** Of the last look; undefined: there was none yet. */
  get last(): Findings | undefined {
    return this.#last;
  }

  /** Somebody wants to know: looks anew where the last look is old. Never rejects; resolves when there is nothing newer to wait for. */
  async refresh(): Promise<void> {
    const sinceMs = performance.now() - (this.#lastTriedMs ?? Number.NEGATIVE_INFINITY);
    const { tookMs = 0 } = this.#last ?? {};
    const share = tookMs <= SHORT_LOOK_MS ? ASKED_SHARE : LONG_LOOK_SHARE;
    if (sinceMs < Math.max(LEAST_PAUSE_MS, tookMs / share)) return this.#looking;
    await this.#look();
  }

  #schedule(pauseMs: number): void {
    clearTimeout(this.#timer);
    if (this.#options.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#look(), pauseMs);
    this.#timer.unref();
  }

  #look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined;
      this.#schedule(Math.max(UNASKED_PAUSE_MS, (this.#last?.tookMs ?? 0) / UNASKED_SHARE));
    });
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    const { served, look, logger, signal } = this.#options;
    const asked = served();
    if (asked === undefined) return;
    const startedMs = performance.now();
    this.#lastTriedMs = startedMs;
    try {
      const problems = await look(asked, signal);
      // Of a plan that changed meanwhile nobody knows which of the two was looked at.
      const isSame = served()?.topology === asked.topology;
      const lasting = isSame ? problems : problems.filter(({ code }) => !OF_THE_PLAN.has(code));
      this.#last = { lookedAt: new Date(), tookMs: performance.now() - startedMs, problems: lasting };
      this.#problemLog.tell(lasting);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof EnvironmentError)
        logger.info({ code: error.code }, `cannot look at this host: ${error.message}`);
      else logger.error({ err: error }, "this is a bug in svcproxy: this host could not be looked at");
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** Memory that a look may take; at more it ends, and the agent goes on. */
const MAX_HEAP_MIB = 320;
const TIMEOUT_MS = 120_000;

/**
 * Looks in a process of its own, of low priority: following every packet takes seconds where there are thousands of services.
 *
 * @param program with its arguments: takes what is served as JSON on stdin, and prints problems
 */
export function lookByProgram([program, ...args]: readonly [string, ...string[]]): FindingsOptions["look"] {
  return async (served, signal) => {
    const options = `${process.env["NODE_OPTIONS"] ?? ""} --max-old-space-size=${MAX_HEAP_MIB}`.trim();
    const { exitCode, stdout, stderr } = await runTool(program, args, {
      ...{ input: JSON.stringify(served), signal, timeoutMs: TIMEOUT_MS, called: "the look at this host" },
      env: { ...process.env, NODE_OPTIONS: options },
    });
    const found: unknown = exitCode === 0 ? JSON.parse(stdout) : undefined;
    if (isProblems(found)) return found;
    throw new EnvironmentError("TOOL_FAILED", `it ended with ${exitCode}: ${stderr.trim().slice(0, 300)}`);
  };
}

/** Our own program made it. */
function isProblems(value: unknown): value is readonly Problem[] {
  return Array.isArray(value) && value.every((one) => typeof one === "object" && one !== null && "code" in one);
}
