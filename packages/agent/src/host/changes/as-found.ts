import { type Difference, type Preserved, repeat } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { AsFound } from "../../agent-options.ts";
import type { KeptDataPath } from "../data-path/choose-data-path.ts";
import { LEASE_RENEWAL_MS } from "../host-upkeep.ts";
import type { Writer } from "./change-monitors.ts";
import { KernelWatch, type KernelWatchOptions } from "./kernel-watch.ts";

export interface RulesAsFoundOptions extends Pick<KernelWatchOptions, "isOurs" | "lookMs"> {
  readonly dataPaths: readonly Pick<KeptDataPath, "preserve">[];
  /** Somebody else may have changed what was found. */
  readonly onChange: (writer: Writer | undefined) => void;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** What cannot be put back is tried again after this long. */
const RETRY_MS = 1_000;

/**
 * Rules of ours that were in the kernel at the start, of any data path: as long as no plan was carried out, because the source cannot be read or
 * the first plan is held back, they are what this host serves.
 */
export class RulesAsFound implements AsFound {
  readonly #options: RulesAsFoundOptions;
  #found: readonly { readonly preserved: Preserved; readonly watch: KernelWatch }[] = [];
  #retry: NodeJS.Timeout | undefined;
  #lease: NodeJS.Timeout | undefined;
  #hasBegun = false;

  constructor(options: RulesAsFoundOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.release(), { once: true });
  }

  /** Undefined: nothing is kept. */
  get watch(): KernelWatch | undefined {
    return this.#found[0]?.watch;
  }

  async keep(): Promise<boolean> {
    if (this.#hasBegun) return this.#found.length > 0;
    const { dataPaths, signal, ...options } = this.#options;
    const parts = await Promise.all(dataPaths.map((dataPath) => preserve(dataPath, this.#options)));
    if (signal.aborted) return false;
    this.#hasBegun = true;
    this.#found = parts
      .filter((part) => part !== undefined)
      .map((preserved) => ({ preserved, watch: new KernelWatch({ ...options, notice: preserved.foreignChanges }) }));
    if (this.#found.length > 0) this.#keepLease();
    return this.#found.length > 0;
  }

  async restore(): Promise<readonly Difference[]> {
    const { logger, signal, onChange } = this.#options;
    const restored: Difference[] = [];
    for (const { preserved } of this.#found) {
      try {
        restored.push(...(await preserved.restore({ signal })));
      } catch (error) {
        if (!(error instanceof EnvironmentError)) throw error;
        if (signal.aborted) break;
        logger.warn({ code: error.code }, `what was in force at the start could not be put back: ${error.message}`);
        clearTimeout(this.#retry);
        this.#retry = setTimeout(() => onChange(undefined), RETRY_MS);
      }
    }
    return restored;
  }

  /** It may take days until somebody confirms. */
  #keepLease(): void {
    const { logger, signal } = this.#options;
    const onFault = (err: unknown) => logger.warn({ err }, "cannot renew the lease");
    const renew = async () => {
      for (const { preserved } of this.#found) await preserved.renewLease?.({ signal });
    };
    this.#lease = repeat(renew, { everyMs: LEASE_RENEWAL_MS, onFault });
    renew().catch(onFault);
  }

  release(): void {
    this.#hasBegun = true;
    clearTimeout(this.#retry);
    clearInterval(this.#lease);
    for (const { watch } of this.#found) watch.stop();
    this.#found = [];
  }
}

/** What cannot be looked at is left as it is, as where its services are counted. */
async function preserve(
  dataPath: Pick<KeptDataPath, "preserve">,
  { signal }: Pick<RulesAsFoundOptions, "signal">,
): Promise<Preserved | undefined> {
  try {
    return await dataPath.preserve?.({ signal });
  } catch (error) {
    if (!(error instanceof EnvironmentError) || error.code === "INTERRUPTED") throw error;
    return undefined;
  }
}
