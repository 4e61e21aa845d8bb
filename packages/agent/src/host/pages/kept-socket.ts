import { lstat } from "node:fs/promises";
import { repeat, unlessSystem } from "@svcproxy/host";
import type { Logger } from "pino";
import type { PageServer } from "../../observe/page-server.ts";

export interface KeptSocketOptions {
  readonly path: string;
  /** Serves on it; what is there under its name goes. @throws EnvironmentError AGENT_SOCKET */
  readonly open: () => Promise<PageServer>;
  /** It is not there any more, and is about to be served anew: makes what else was lost with it. */
  readonly onLost: () => Promise<void>;
  readonly logger: Logger;
  /** For tests. */
  readonly lookMs?: number;
}

/** Whether it is there is looked at this often. */
const LOOK_MS = 2_000;

/** Pages on a unix socket by its path: where somebody removed that, or put something in its place, they are served there anew. */
export class KeptSocket implements AsyncDisposable {
  readonly #options: KeptSocketOptions;
  #server: PageServer | undefined;
  #identity: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #look: Promise<void> | undefined;

  constructor(options: KeptSocketOptions) {
    this.#options = options;
  }

  /** @throws EnvironmentError AGENT_SOCKET */
  async start(): Promise<void> {
    const { logger, lookMs: everyMs = LOOK_MS } = this.#options;
    await this.#open();
    const onFault = (err: unknown) => logger.warn({ err }, "the agent's socket is gone, and cannot be made anew yet");
    const look = () => {
      this.#look ??= this.#lookForIt().finally(() => {
        this.#look = undefined;
      });
      return this.#look;
    };
    this.#timer = repeat(look, { everyMs, onFault });
  }

  async #open(): Promise<void> {
    this.#server = await this.#options.open();
    this.#identity = await identityOf(this.#options.path);
  }

  async #lookForIt(): Promise<void> {
    const { path, onLost, logger } = this.#options;
    if (this.#server !== undefined && (await identityOf(path)) === this.#identity) return;
    if (this.#server !== undefined) logger.warn(`${path} was removed by another program, and is made anew`);
    // First: to close it removes what has its path.
    await this.#server?.close();
    this.#server = undefined;
    await onLost();
    await this.#open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#look?.catch(() => {});
    await this.#server?.close();
  }
}

/** Undefined: there is nothing. */
async function identityOf(path: string): Promise<string | undefined> {
  const stats = await lstat(path, { bigint: true }).catch(unlessSystem("ENOENT"));
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`;
}
