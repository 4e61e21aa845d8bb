import { EnvironmentError, type Problem, problemOfError } from "@svcproxy/topology";
import type { PageServer } from "../../observe/page-server.ts";

/** A port that another program has is tried again so often. */
const RETRY_MS = 1_000;

export interface PatientServerOptions {
  /** Whether it waits where it cannot listen, instead of ending the start. */
  readonly waits: boolean;
  /** @throws EnvironmentError METRICS_ADDRESS where it cannot listen */
  readonly open: () => Promise<PageServer>;
  /** It could not, for the first time. */
  readonly onWait: (problem: Problem) => void;
  readonly onOpened: (server: PageServer) => void;
}

/** Pages on a port that may be another program's for now: they are served as soon as it is free. */
export class PatientServer implements AsyncDisposable {
  readonly #options: PatientServerOptions;
  #server: PageServer | undefined;
  #timer: NodeJS.Timeout | undefined;
  #attempt: Promise<void> = Promise.resolve();
  #isClosed = false;
  /** Why it does not serve; undefined: it does. */
  problem: Problem | undefined;

  constructor(options: PatientServerOptions) {
    this.#options = options;
  }

  /** The port that it serves on; undefined: it waits. */
  get port(): number | undefined {
    return this.#server?.port;
  }

  /** Tries; where it waits it goes on trying by itself. @throws what `open` throws, unless it waits for that to end */
  async start(): Promise<void> {
    const { open, onOpened, onWait, waits } = this.#options;
    try {
      const server = await open();
      this.#server = server;
      this.problem = undefined;
      if (this.#isClosed) await server.close();
      else onOpened(server);
    } catch (error) {
      if (!waits || !(error instanceof EnvironmentError)) throw error;
      const isFirst = this.problem === undefined;
      this.problem = problemOfError(error, { subject: "this host" });
      if (isFirst) onWait(this.problem);
      if (!this.#isClosed) this.#timer = setTimeout(() => this.#again(), RETRY_MS);
    }
  }

  #again(): void {
    this.#attempt = this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#attempt;
    await this.#server?.close();
  }
}
