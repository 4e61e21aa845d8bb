import { MissingTool } from "@svcproxy/host";
import { EnvironmentError, type Problem, problemOfError, problemSentence } from "@svcproxy/topology";
import type { Logger } from "pino";
import { RetryTimer } from "../../retry-timer.ts";
import type { KeptDataPath } from "./choose-data-path.ts";
import type { HeldConnections } from "./held-connections.ts";

export interface OldDataPathsOptions {
  /** Those that are not in use, and that may have something of ours from before. */
  readonly others: readonly KeptDataPath[];
  /** What serves now. */
  readonly now: string;
  /** Whether a kube-proxy is being replaced, whose chains have the names of ours. */
  readonly besideKubeProxy: boolean;
  /** What keeps connections that go by one of them, while it is removed; absent: what serves now translates them. */
  readonly held?: Pick<HeldConnections, "during">;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** What cannot be removed is tried again up to so long later. */
const LONGEST_RETRY_MS = 60_000;

/** Removes what is ours of other data paths, once another one serves in their place; what fails is named and tried again. */
export class OldDataPaths {
  readonly #options: OldDataPathsOptions;
  readonly #retry = new RetryTimer(() => void this.#retire(), { longestMs: LONGEST_RETRY_MS });
  #left: readonly KeptDataPath[];
  #problems: readonly Problem[] = [];
  #hasBegun = false;

  constructor(options: OldDataPathsOptions) {
    this.#options = options;
    this.#left = options.others;
    options.signal.addEventListener("abort", () => this.#retry.cancel(), { once: true });
  }

  /** What could not be removed yet. */
  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** All of the plan is served. */
  retire(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    void this.#retire();
  }

  async #retire(): Promise<void> {
    const failed: KeptDataPath[] = [];
    const problems: Problem[] = [];
    for (const other of this.#left) {
      const problem = await this.#remove(other);
      if (problem === undefined) continue;
      failed.push(other);
      problems.push(problem);
    }
    this.#left = failed;
    this.#problems = problems;
    if (this.#options.signal.aborted) return;
    if (failed.length > 0) this.#retry.failed();
    else this.#retry.succeeded();
  }

  /** @returns why it could not be */
  async #remove(other: KeptDataPath): Promise<Problem | undefined> {
    const { logger, now, besideKubeProxy, held, signal } = this.#options;
    const cleanup = () => other.cleanup({ signal, handsOver: true });
    try {
      const { removed, problems: all } = await (held === undefined ? cleanup() : held.during(other, cleanup));
      const problems = besideKubeProxy ? all.filter(({ code }) => code !== "UNMARKED_RULES") : all;
      if (removed.length > 0)
        logger.info({ removed }, `${now} serves now; removed ours from ${other.name}: ${removed.join(", ")}`);
      for (const problem of problems) logger.warn({ code: problem.code }, problemSentence(problem));
      return problems.find(({ severity }) => severity === "error");
    } catch (error) {
      // Whoever does not have the tool has put nothing there with it.
      if (error instanceof MissingTool || signal.aborted) return undefined;
      if (!(error instanceof EnvironmentError)) throw error;
      const problem = problemOfError(error, { subject: `data path ${other.name}` });
      const text = `What is ours of ${other.name} is still there: ${problem.text}`;
      if (!this.#problems.some((known) => known.text === text)) logger.warn({ code: error.code }, text);
      return { ...problem, text };
    }
  }
}
