import type { Machine } from "@svcproxy/host";
import { type Cidr, type HostPlan, type IpAddress, type Problem, problemSentence } from "@svcproxy/topology";
import type { Logger } from "pino";
import { LocalVips } from "../vip/local-vips.ts";
import { missingVips } from "../vip/vip-problems.ts";
import { vipsOfPlan } from "../vip/vips-of-plan.ts";

export interface VipStewardOptions {
  readonly logger: Logger;
  readonly machine: Machine;
  readonly device?: string;
  readonly ranges: readonly Cidr[];
  /** Addresses that the plan no longer has and connections still need. */
  addressesInUse(): Promise<readonly IpAddress[]>;
}

/** VIPs that are kept for connections are looked at again this often. */
const IN_USE_CHECK_MS = 5_000;

/** Keeps the VIPs of the plan local, and those of connections that still drain until they have. */
export class VipSteward {
  /** VIPs that are not local, with the reason. */
  notLocal: ReadonlyMap<IpAddress, string> = new Map();
  /** The command that would make them local. */
  command: string | undefined;
  readonly #vips: LocalVips;
  readonly #logger: Logger;
  readonly #addressesInUse: VipStewardOptions["addressesInUse"];
  #wanted: readonly IpAddress[] = [];
  #tidying: NodeJS.Timeout | undefined;
  #problems: readonly Problem[] = [];
  #said = "";

  constructor({ logger, addressesInUse, ...options }: VipStewardOptions) {
    this.#logger = logger;
    this.#addressesInUse = addressesInUse;
    this.#vips = new LocalVips(options);
  }

  /** What keeps VIPs of the plan from being served. */
  get problems(): readonly Problem[] {
    return [...missingVips(this.notLocal, { command: this.command }), ...this.#problems];
  }

  /** Makes the plan's VIPs local as far as possible; what cannot be done is logged, once. */
  async serve(plan: HostPlan): Promise<void> {
    // It would take away what is about to be made.
    this.abandon();
    const { vips, refused } = vipsOfPlan(plan);
    const report = await this.#vips.ensure(vips);
    this.#wanted = vips;
    this.notLocal = new Map([...report.notLocal, ...refused]);
    this.command = report.command;
    this.#problems = report.problems;
    for (const problem of report.problems) this.#log(problem);
    this.#sayWhatIsMissing();
  }

  /** Takes away what neither the plan nor a connection needs, once `delayMs` have passed without another plan. */
  tidyIn(delayMs: number): void {
    this.abandon();
    const tidying = setTimeout(() => void this.#tidy(tidying), delayMs);
    this.#tidying = tidying;
  }

  /** Takes away all that is ours. */
  async release(): Promise<void> {
    this.abandon();
    this.#sayWhatIsLeft(await this.#vips.release());
  }

  /** Leaves everything to a successor. */
  abandon(): void {
    clearTimeout(this.#tidying);
    this.#tidying = undefined;
  }

  async #tidy(turn: NodeJS.Timeout): Promise<void> {
    const inUse = await this.#addressesInUse();
    // Meanwhile there may be another plan, or the end.
    if (this.#tidying !== turn) return;
    if (inUse.length > 0) this.tidyIn(IN_USE_CHECK_MS);
    this.#sayWhatIsLeft(await this.#vips.retain([...this.#wanted, ...inUse]));
  }

  #sayWhatIsLeft(left: readonly Problem[]): void {
    for (const problem of left) this.#log(problem);
  }

  #log(problem: Problem): void {
    this.#logger.warn({ code: problem.code, subject: problem.subject }, problemSentence(problem));
  }

  #sayWhatIsMissing(): void {
    const signature = JSON.stringify([...this.notLocal]);
    if (signature === this.#said) return;
    this.#said = signature;
    for (const problem of missingVips(this.notLocal, { command: this.command })) this.#log(problem);
  }
}
