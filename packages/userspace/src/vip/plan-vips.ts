import { type Machine, repeat } from "@svcproxy/host";
import { type Cidr, cidrContains, type Family, type HostPlan, type IpAddress, type Problem } from "@svcproxy/topology";
import type { Logger } from "pino";
import { readLocalAddresses } from "../host-addresses.ts";
import { checkVipRanges } from "./check-vip-ranges.ts";
import { type VipPort, vipPortKey } from "./isolation.ts";
import { LocalVips, type VipRemoval, type VipReport } from "./local-vips.ts";
import { missingVips } from "./vip-problems.ts";
import { portsOfVips, vipsOfPlan } from "./vips-of-plan.ts";

export interface PlanVipsOptions {
  readonly machine: Machine;
  readonly logger: Logger;
  /** Where VIPs are put; undefined: nowhere. */
  readonly vipDevice: string | undefined;
  readonly vipRanges: readonly Cidr[];
  /** Whether clients of VIPs are to reach the services' ports alone. */
  readonly isolates: boolean;
  /** What the plan no longer has and connections still need; undefined: not known now, so nothing is taken away. */
  portsInUse(): Promise<readonly VipPort[] | undefined>;
}

/** VIPs that are kept for connections are looked at again this often. */
const IN_USE_CHECK_MS = 5_000;

/** Keeps the VIPs of a plan local, and those of connections that still drain until they have. */
export class PlanVips {
  /** VIPs that are not local, with the reason. */
  notLocal: ReadonlyMap<IpAddress, string> = new Map();
  readonly #options: PlanVipsOptions;
  readonly #vips: LocalVips;
  #report: VipReport | undefined;
  #wanted: ReadonlySet<IpAddress> = new Set();
  /** Of the plan, by `vipPortKey`. */
  #ports: ReadonlyMap<string, VipPort> = new Map();
  #shut: ReadonlySet<string> = new Set();
  /** Something of ours may be there that nobody needs: what a killed run left, for a start. */
  #mayBeStale = true;
  /** What could not be taken away. */
  #left: readonly Problem[] = [];
  #check: NodeJS.Timeout | undefined;

  constructor(options: PlanVipsOptions) {
    this.#options = options;
    this.#vips = new LocalVips({
      machine: options.machine,
      ranges: options.vipRanges,
      isolates: options.isolates,
      ...(options.vipDevice === undefined ? {} : { device: options.vipDevice }),
    });
  }

  /** The command that would make local what is not. */
  get command(): string | undefined {
    return this.#report?.command;
  }

  /** Why VIPs of a family are not isolated, where they should be. */
  get notIsolated(): ReadonlyMap<Family, string> {
    return this.#report?.notIsolated ?? new Map();
  }

  /**
   * Makes the plan's VIPs local as far as possible.
   *
   * @param options.isFull whether all is asked of the kernel, and not only where a VIP is new or was taken away
   * @returns whether that changed anything
   * @throws InputError VIP_RANGE_TOO_WIDE
   * @throws EnvironmentError OUT_OF_DESCRIPTORS, ADDRESSES_UNREADABLE
   */
  async make(plan: HostPlan, { isFull }: { readonly isFull: boolean }): Promise<boolean> {
    checkVipRanges(this.#options.vipRanges, plan);
    const { vips, refused } = vipsOfPlan(plan);
    const wanted = new Set(vips);
    const ports = new Map(portsOfVips(plan).map((port) => [vipPortKey(port), port]));
    const isLocal = this.#asFarAsIsKnown();
    const hasGone = isAnyMissing(this.#wanted, wanted) || isAnyMissing(this.#ports.keys(), ports);
    const hasCome =
      isAnyMissing(ports.keys(), this.#ports) || !vips.every((vip) => this.#wanted.has(vip) && isLocal(vip));
    if (!isFull && !hasGone && !hasCome) return false;
    if (hasGone) this.#mayBeStale = true;
    this.#wanted = wanted;
    this.#ports = ports;
    this.#report = await this.#vips.ensure(vips, this.#openPorts());
    this.notLocal = new Map([...this.#report.notLocal, ...refused]);
    return this.#report.added.length > 0;
  }

  #openPorts(): readonly VipPort[] {
    return [...this.#ports].flatMap(([key, port]) => (this.#shut.has(key) ? [] : [port]));
  }

  /** By `vipPortKey`: those of the plan on which this proxy cannot listen. */
  get shut(): ReadonlySet<string> {
    return this.#shut;
  }

  /** Keeps clients from ports on which this proxy cannot listen: they would reach the program that does. */
  async shutPorts(ports: readonly VipPort[]): Promise<void> {
    const shut = new Set(this.#options.isolates ? ports.map(vipPortKey) : []);
    const opens = isAnyMissing(this.#shut, shut);
    if (!opens && !isAnyMissing(shut, this.#shut)) return;
    this.#shut = shut;
    this.#mayBeStale = true;
    if (opens) this.#report = await this.#vips.ensure([...this.#wanted], this.#openPorts());
  }

  /** Without asking the kernel for more than its addresses; what can never be made local needs not be asked about. */
  #asFarAsIsKnown(): (vip: IpAddress) => boolean {
    const addresses = new Set(readLocalAddresses({ vipDevices: [] }).all);
    const { notLocal } = this;
    const { vipRanges } = this.#options;
    const isSettled = (vip: IpAddress) => notLocal.has(vip) && this.#report?.delayed.has(vip) !== true;
    return (vip) => addresses.has(vip) || isSettled(vip) || vipRanges.some((range) => cidrContains(range, vip));
  }

  /** Takes away what neither the plan nor a connection needs, now or when that is so. @returns whether anything went */
  async tidy(): Promise<boolean> {
    if (!this.#mayBeStale) return false;
    clearInterval(this.#check);
    this.#check = undefined;
    const removed = await this.#tidyNow();
    if (this.#mayBeStale) {
      this.#check = repeat(() => this.#tidyLater(), {
        everyMs: IN_USE_CHECK_MS,
        onFault: (error) => this.#options.logger.error({ err: error }, "cannot look which VIPs are in use"),
      });
    }
    return removed;
  }

  async #tidyLater(): Promise<void> {
    const turn = this.#check;
    await this.#tidyNow();
    if (!this.#mayBeStale && this.#check === turn) this.abandon();
  }

  async #tidyNow(): Promise<boolean> {
    const inUse = await this.#options.portsInUse();
    if (inUse === undefined) return false;
    const { removed, left } = await this.#vips.retain(
      [...this.#wanted, ...inUse.map(({ address }) => address)],
      [...this.#openPorts(), ...inUse],
    );
    this.#left = left;
    this.#mayBeStale = inUse.some((port) => !this.#ports.has(vipPortKey(port)));
    return removed.length > 0;
  }

  problems(): readonly Problem[] {
    const { notLocal, command } = this;
    return [...missingVips(notLocal, { command }), ...(this.#report?.problems ?? []), ...this.#left];
  }

  /** See `LocalVips`. */
  endIsolation(): Promise<void> {
    return this.#vips.endIsolation();
  }

  /** Takes away all that is ours. */
  async release(): Promise<VipRemoval> {
    this.abandon();
    return this.#vips.release();
  }

  /** Leaves everything as it is. */
  abandon(): void {
    clearInterval(this.#check);
    this.#check = undefined;
  }
}

function isAnyMissing<K>(keys: Iterable<K>, from: { has(key: K): boolean }): boolean {
  for (const key of keys) if (!from.has(key)) return true;
  return false;
}
