import process from "node:process";
import { repeat } from "@svcproxy/host";
import type { Logger } from "pino";
import type { VipPort } from "../vip/isolation.ts";
import type { Generation, Generations } from "./generation.ts";
import type { InstanceClaim } from "./instance-options.ts";

/** So many that were taken over may go on for as long as their connections last; each costs a process. */
const MOST_GENERATIONS = 3;
/** Of as many connections as this instance may have, so many may be theirs together. */
const THEIR_SHARE = 0.5;
const LOOK_EVERY_MS = 5_000;
/** Those that are told to end are looked at this often, and waited for so much longer than they were given. */
const END_CHECK_MS = 100;
const END_PATIENCE_MS = 2_000;

export interface GenerationKeeperOptions {
  readonly claim: Pick<InstanceClaim, "generations" | "drainGeneration" | "predecessorPid">;
  readonly logger: Logger;
  /** What one that has to go is given. */
  readonly drainTimeoutMs: number;
  /** How many connections this instance may have. */
  readonly connectionLimit: () => Promise<number>;
}

/** Looks after the instances that were taken over: who they are, what they need, and that they do not become too many. */
export class GenerationKeeper {
  readonly #options: GenerationKeeperOptions;
  #look: NodeJS.Timeout | undefined;

  constructor(options: GenerationKeeperOptions) {
    this.#options = options;
  }

  /** Looks from now on, for as long as there are any. */
  async start(): Promise<void> {
    if ((await this.#keep()) === 0 && !this.#predecessorRuns()) return;
    this.#look = repeat(() => this.#lookAgain(), {
      everyMs: LOOK_EVERY_MS,
      onFault: (error) => this.#options.logger.error({ err: error }, "cannot look after the older generations"),
    });
  }

  async #lookAgain(): Promise<void> {
    if ((await this.#keep()) === 0 && !this.#predecessorRuns()) this.stop();
  }

  stop(): void {
    clearInterval(this.#look);
    this.#look = undefined;
  }

  async list(): Promise<readonly Generation[]> {
    return (await this.#options.claim.generations()).known;
  }

  /** What their connections need of this host; undefined where one of them did not say. */
  async portsInUse(): Promise<readonly VipPort[] | undefined> {
    const { known, silent } = await this.#options.claim.generations();
    const { predecessorPid } = this.#options.claim;
    const hasSaid = known.some(({ pid }) => pid === predecessorPid);
    // It may not have come to it yet, or be of a version that does not say.
    if (silent.length > 0 || (this.#predecessorRuns() && !hasSaid)) return undefined;
    return known.flatMap(({ inUse }) => inUse);
  }

  #predecessorRuns(): boolean {
    const { predecessorPid } = this.#options.claim;
    if (predecessorPid === undefined) return false;
    try {
      process.kill(predecessorPid, 0);
      return true;
    } catch (error) {
      // Somebody else's process is one all the same.
      return error instanceof Error && "code" in error && error.code === "EPERM";
    }
  }

  /** Tells the oldest to end where they are too many, or have too many connections. @returns how many there are */
  async #keep(): Promise<number> {
    const { known, silent }: Generations = await this.#options.claim.generations();
    const lasting = known.filter(({ isDraining }) => !isDraining);
    const most = Math.floor((await this.#options.connectionLimit()) * THEIR_SHARE);
    const total = () => lasting.reduce((sum, { connections }) => sum + connections, 0);
    while (lasting.length > MOST_GENERATIONS || (lasting.length > 0 && total() > most)) {
      const reason =
        lasting.length > MOST_GENERATIONS
          ? `more than ${MOST_GENERATIONS} older generations have connections`
          : `the older generations have ${total()} connections, and ${most} are their share`;
      const oldest = lasting.shift();
      if (oldest !== undefined) await this.#drain(oldest, reason);
    }
    return known.length + silent.length;
  }

  async #drain({ pid, connections }: Generation, reason: string): Promise<void> {
    const { logger, drainTimeoutMs, claim } = this.#options;
    logger.warn({ generation: pid, connections, drainTimeoutMs }, `pid ${pid}, the oldest, drains and ends: ${reason}`);
    await claim.drainGeneration({ pid, timeoutMs: drainTimeoutMs });
  }

  /** Tells all to end within this time. Resolves when they have, or should have. */
  async end(timeoutMs: number): Promise<void> {
    this.stop();
    const { claim } = this.#options;
    const endsAtMs = performance.now() + timeoutMs + END_PATIENCE_MS;
    for (const { pid } of await this.list()) await claim.drainGeneration({ pid, timeoutMs });
    while (performance.now() < endsAtMs && (await this.list()).length > 0)
      await new Promise((resolve) => setTimeout(resolve, END_CHECK_MS));
  }
}
