import type { Cidr, HostPlan, IpAddress } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { HostNetwork } from "../vip/host-network.ts";
import { LocalVips } from "../vip/local-vips.ts";
import { vipsOfPlan } from "../vip/vips-of-plan.ts";

export interface VipStewardOptions {
  readonly logger: Logger;
  readonly network: HostNetwork;
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
  #said = "";

  constructor({ logger, addressesInUse, ...options }: VipStewardOptions) {
    this.#logger = logger;
    this.#addressesInUse = addressesInUse;
    this.#vips = new LocalVips(options);
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
    for (const problem of report.problems) this.#logger.warn(problem);
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

  #sayWhatIsLeft(left: readonly string[]): void {
    for (const sentence of left) this.#logger.warn(sentence);
  }

  #sayWhatIsMissing(): void {
    const missing = [...this.notLocal].map(([vip, reason]) => `${vip} (${reason})`).join(", ");
    if (missing === this.#said) return;
    this.#said = missing;
    if (missing === "") return;
    const help = this.command === undefined ? "" : `; this would help: ${this.command}`;
    this.#logger.warn({ vips: Object.fromEntries(this.notLocal) }, `VIPs that are not on this host: ${missing}${help}`);
  }
}
