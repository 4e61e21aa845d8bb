import { repeat } from "@svcproxy/host";
import type { Logger } from "pino";
import type { Agent } from "../agent.ts";
import { type Findings, FindingsKeeper, lookByProgram, type Served } from "./findings-keeper.ts";
import type { HostAgentOptions } from "./host-agent-options.ts";
import { ServedPart } from "./served-part.ts";

export interface HostUpkeepOptions {
  readonly agent: Agent;
  readonly findingsProgram: HostAgentOptions["findingsProgram"] | undefined;
  readonly onServing: HostAgentOptions["onServing"] | undefined;
  /** Whether what is ours is somebody else's to write for now. */
  readonly isPaused: () => boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** A lease holds for days. */
export const LEASE_RENEWAL_MS = 6 * 3600 * 1000;

/** What is done from time to time once a plan is in force: the lease is renewed, and the host is looked at. */
export class HostUpkeep implements Disposable {
  readonly #options: HostUpkeepOptions;
  readonly #servedPart = new ServedPart();
  readonly #opened = new DisposableStack();
  #hasBegun = false;
  #findings: FindingsKeeper | undefined;

  constructor(options: HostUpkeepOptions) {
    this.#options = options;
  }

  /** A plan was carried out; what counts is the first. */
  begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    const { logger, onServing } = this.#options;
    this.#keepLease();
    onServing?.().catch((err: unknown) => logger.warn({ err }, "what comes once a plan is in force could not be done"));
    this.#startFindings();
  }

  /** Of the last look at this host; undefined: there was none yet. */
  get findings(): Findings | undefined {
    return this.#findings?.last;
  }

  /** Looks at this host anew where the last look is old. Never rejects. */
  async look(): Promise<void> {
    await this.#findings?.refresh();
  }

  /** Now, because what the one before left has used up some of it, and from then on. */
  #keepLease(): void {
    const { agent, logger } = this.#options;
    const renew = () => agent.renewLease();
    const timer = repeat(renew, {
      everyMs: LEASE_RENEWAL_MS,
      onFault: (err) => logger.warn({ err }, "cannot renew the lease"),
    });
    this.#opened.defer(() => clearInterval(timer));
    void renew();
  }

  #startFindings(): void {
    const { findingsProgram, logger, signal } = this.#options;
    if (findingsProgram === undefined) return;
    this.#findings = this.#opened.use(
      new FindingsKeeper({ look: lookByProgram(findingsProgram), served: () => this.#served(), logger, signal }),
    );
  }

  /** What a look compares with; undefined: it is about to change. */
  #served(): Served | undefined {
    const { agent, isPaused } = this.#options;
    const [status, { topology }] = [agent.status(), agent];
    if (topology === undefined || status.host === undefined) return undefined;
    const isSettled = status.busySince === undefined && status.failure === undefined && status.held === undefined;
    if (!isSettled || isPaused()) return undefined;
    return { topology: this.#servedPart.of(topology, status.ports), host: status.host };
  }

  [Symbol.dispose](): void {
    this.#opened.dispose();
  }
}
