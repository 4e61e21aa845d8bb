import { problemSentence } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { ApplyReport, FrontendState, FrontendStatus } from "../contract.ts";

/** Frontends that are named one by one; the rest is a number, `status` has them all. */
const NAMED_FRONTENDS = 20;

/** Tells the log what became of each plan: what is new, and never the same twice. */
export class PlanReporter {
  readonly #logger: Logger;
  readonly #saidProblems = new Set<string>();
  #saidFailures = new Map<string, string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  report({ frontends, added, removed, problems }: ApplyReport): void {
    for (const problem of problems) {
      const sentence = problemSentence(problem);
      if (this.#saidProblems.has(sentence)) continue;
      this.#saidProblems.add(sentence);
      this.#logger.warn({ code: problem.code, subject: problem.subject }, sentence);
    }
    this.#reportFailures(frontends);
    const listening = frontends.filter(({ state }) => state.kind === "listening").length;
    const refusing = frontends.filter(({ state }) => state.kind === "refusing").length;
    const unsupported = frontends.filter(({ state }) => state.kind === "unsupported").length;
    const failed = frontends.length - listening - refusing - unsupported;
    this.#logger.info(
      {
        ...{ frontends: frontends.length, listening, refusing, failed, unsupported },
        ...{ added: added.length, removed: removed.length },
      },
      describeServed(frontends),
    );
  }

  #reportFailures(frontends: readonly FrontendStatus[]): void {
    const failures = new Map<string, string>();
    for (const { key, state } of frontends) {
      if (state.kind === "failed") failures.set(key, describeFailure(state));
    }
    const fresh = [...failures].filter(([key, text]) => this.#saidFailures.get(key) !== text);
    for (const [frontend, text] of fresh.slice(0, NAMED_FRONTENDS)) {
      this.#logger.warn({ frontend }, `cannot serve ${frontend}: ${text}`);
    }
    const more = fresh.length - NAMED_FRONTENDS;
    if (more > 0) this.#logger.warn({ frontends: more }, `cannot serve ${more} more frontends; \`status\` lists them`);
    this.#saidFailures = failures;
  }
}

/** How many frontends are served, of those that a userspace proxy can serve; no full stop. */
export function describeServed(frontends: readonly FrontendStatus[]): string {
  const supported = frontends.filter(({ state }) => state.kind !== "unsupported");
  const failed = supported.filter(({ state }) => state.kind === "failed").length;
  const unsupported = frontends.length - supported.length;
  const rest = unsupported === 0 ? "" : `; ${unsupported} more cannot be served in userspace`;
  return `serving ${supported.length - failed} of ${supported.length} frontends${rest}`;
}

/** Why a frontend is not served and who holds its port, for people; no full stop. */
export function describeFailure({ reason, holder }: Extract<FrontendState, { kind: "failed" }>): string {
  return holder === undefined ? reason : `${reason}, held by pid ${holder.pid} (${holder.command})`;
}
