import { EnvironmentError } from "@svcproxy/topology";
import type { Logger } from "pino";
import { startSuccessor } from "../../userspace/start-successor.ts";
import type { HostPlace } from "./agent-place.ts";

export interface SuccessionOptions {
  readonly place: HostPlace;
  /** Opens what a predecessor has until it has gone. */
  readonly whenAlone: () => Promise<void>;
  /** The program, with its arguments, that takes over from this one; absent: none can. */
  readonly successorProgram?: readonly [string, ...string[]] | undefined;
  readonly logger: Logger;
  /** Aborted when this agent ends, for instance because it was taken over. */
  readonly signal: AbortSignal;
}

/** How an agent takes the place of the one before it, and leaves its own to the next. */
export class Succession {
  readonly #options: SuccessionOptions;

  constructor(options: SuccessionOptions) {
    this.#options = options;
  }

  /** Whether another agent has the socket, the ports and the lock. */
  get hasPredecessor(): boolean {
    return this.#options.place.predecessorPid !== undefined;
  }

  /** All of a plan is served: a predecessor may go. What it does not let go of is told. */
  async becomeTheOnly(): Promise<void> {
    const { place, whenAlone, logger, signal } = this.#options;
    if (!this.hasPredecessor) return;
    try {
      await place.succeed(signal);
      await whenAlone();
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof EnvironmentError)) throw error;
      logger.error({ code: error.code }, `${error.message}; this one serves, and cannot be asked`);
    }
  }

  /** Starts a successor that takes over. @returns false where there is no program for one */
  start(): boolean {
    const { successorProgram, logger, signal } = this.#options;
    if (successorProgram === undefined) return false;
    if (signal.aborted) return true;
    logger.info("reloading: starting a successor that takes over");
    const isTakenOver = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    startSuccessor(successorProgram, { isTakenOver }).catch((error: unknown) =>
      logger.error({ err: error }, "the successor failed; this one goes on"),
    );
    return true;
  }
}
