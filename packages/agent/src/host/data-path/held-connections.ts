import { forgetTranslated, holdConnections, type Machine, releaseConnections } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { KeptDataPath } from "./choose-data-path.ts";
import { readCensus } from "./read-census.ts";

export interface HeldConnectionsOptions {
  readonly machine: Pick<Machine, "run" | "hasTool">;
  readonly logger: Logger;
  /** Aborted when the agent ends. */
  readonly signal: AbortSignal;
}

/** A dial is tried again after a second. */
const FORGET_AFTER_MS = 500;
/** In which most connections that are in use have sent something. */
const ACQUAINT_MS = 2_000;
const RELEASED_WITHIN_MS = 5_000;

/** Connections that rules of before carry, while a process carries all new ones. */
export class HeldConnections {
  readonly #options: HeldConnectionsOptions;

  constructor(options: HeldConnectionsOptions) {
    this.#options = options;
  }

  /**
   * Before rules take the place of a process: the kernel gets to know the connections that the process carries, and translates none of them.
   * Of one that it did not know it would take the next packet for the first, and lead it elsewhere. Those that are silent meanwhile stay unknown.
   */
  async acquaint(dataPaths: readonly KeptDataPath[]): Promise<void> {
    const { machine, signal } = this.#options;
    // Where rules serve, the kernel knows them.
    const { vips } = await readCensus(dataPaths, { signal });
    if (vips.size > 0 || !(await holdConnections(machine, { signal }))) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ACQUAINT_MS);
      const stop = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener("abort", stop, { once: true });
    });
  }

  /** Takes away what is ours of another data path, and keeps the connections that went by it. */
  async during<T>(other: Pick<KeptDataPath, "census">, remove: () => Promise<T>): Promise<T> {
    const { machine, signal } = this.#options;
    const { vips } = await other.census({ signal });
    const isHeld = vips.size > 0 && (await holdConnections(machine, { signal }));
    const removed = await remove();
    if (isHeld) {
      await forgetTranslated(machine, { what: "datagrams", families: [4, 6], signal });
      this.#forgetLater();
    }
    return removed;
  }

  /** What this host dialled in between has an answer that leads nowhere: the VIP is its own by now. */
  #forgetLater(): void {
    const { machine, logger, signal } = this.#options;
    const timer = setTimeout(() => {
      forgetTranslated(machine, { what: "dials", families: [4, 6], signal }).catch((err: unknown) => {
        if (!(err instanceof EnvironmentError)) logger.warn({ err }, "cannot forget dials that nobody answered");
      });
    }, FORGET_AFTER_MS);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  }

  /** They end with their translation: where rules serve again, these translate them. Never rejects. */
  async release(): Promise<void> {
    const { machine, logger } = this.#options;
    try {
      await releaseConnections(machine, { signal: AbortSignal.timeout(RELEASED_WITHIN_MS) });
    } catch (err) {
      if (!(err instanceof EnvironmentError)) logger.warn({ err }, "cannot remove what kept connections of before");
    }
  }
}
