import { formatProblem, type Problem, problemSentence } from "@svcproxy/topology";
import type { Logger } from "pino";

/** So many new ones are named one by one; the rest is a number, the status has them all. */
const NAMED_PROBLEMS = 20;

/** Why a source cannot be taken, in one message. */
export function namedProblems(problems: readonly Problem[]): string {
  const more = problems.length - NAMED_PROBLEMS;
  const texts = problems.slice(0, NAMED_PROBLEMS).map((problem) => formatProblem(problem));
  return [...texts, ...(more > 0 ? [`and ${more} more problems; the status lists them`] : [])].join("\n");
}

/** Tells the log of problems: each once, and again when it was gone in between. */
export class ProblemLog {
  readonly #logger: Logger;
  #said: ReadonlySet<string>;

  /** @param options.told what the log has already */
  constructor(logger: Logger, { told = [] }: { readonly told?: readonly Problem[] | undefined } = {}) {
    this.#logger = logger;
    this.#said = new Set(told.map(keyOf));
  }

  /** @param problems all that there are now */
  tell(problems: readonly Problem[]): void {
    const now = new Map(problems.map((problem) => [keyOf(problem), problem]));
    const fresh = [...now].filter(([key]) => !this.#said.has(key)).map(([, problem]) => problem);
    this.#said = new Set(now.keys());
    for (const { code, subject, ...problem } of fresh.slice(0, NAMED_PROBLEMS)) {
      this.#logger.warn({ code, subject }, problemSentence(problem));
    }
    const more = fresh.length - NAMED_PROBLEMS;
    if (more > 0) this.#logger.warn({ problems: more }, `${more} more problems; the status lists them`);
  }
}

function keyOf({ code, subject, text }: Problem): string {
  return JSON.stringify([code, subject, text]);
}
