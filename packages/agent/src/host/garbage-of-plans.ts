import { QuietTime } from "@svcproxy/host";
import { collectGarbage, fitYoungHeap } from "./tune-v8.ts";

/** Garbage is collected once nothing was carried out for so long: longer than data paths wait before they tidy up, */
const QUIET_MS = 2_000;
/** and so many plans were carried out since it was collected last, which have left some megabytes. The first leaves more than those. */
const ENOUGH_PLANS = 100;
/** A look that found nothing to mend often has compared a text with the one before, and no more. */
const PLANS_A_LOOK = 20;

/** Keeps the heap fit for carrying out plan after plan, and gives back what they took once that is over. */
export class GarbageOfPlans implements Disposable {
  readonly #collects: boolean;
  /** Carried out since it was collected last. */
  #planCount = ENOUGH_PLANS;
  readonly #quiet: QuietTime;

  /** @param options.collects false for a process that carries connections, which is not stopped for it @param options.collect for tests */
  constructor({ collects, collect = collectGarbage }: { readonly collects: boolean; readonly collect?: () => void }) {
    this.#collects = collects;
    const work = () => {
      this.#planCount = 0;
      collect();
    };
    this.#quiet = new QuietTime({ delayMs: QUIET_MS, work });
  }

  /** To be called after each plan. */
  planCarriedOut(): void {
    fitYoungHeap();
    this.#add(1);
  }

  /** To be called after each look at all that is in the kernel. @param hasMended whether all of it was read and compared for sure */
  looked(hasMended: boolean): void {
    this.#add(hasMended ? ENOUGH_PLANS : PLANS_A_LOOK);
  }

  #add(plans: number): void {
    this.#planCount += plans;
    if (this.#collects && this.#planCount >= ENOUGH_PLANS) this.#quiet.restart();
  }

  [Symbol.dispose](): void {
    this.#quiet.stop();
  }
}
