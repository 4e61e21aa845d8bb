import {
  type ApplyOptions,
  type DataPathSession,
  isolateRefusal,
  problemsOfTaken,
  QuietTime,
  RecentListeners,
  type ServicePortStatus,
  sameContext,
  serviceName,
  servicePortKey,
  serviceProblem,
  servicesThatMoved,
  type TakenNodePorts,
  withoutTakenNodePorts,
} from "@svcproxy/host";
import {
  EnvironmentError,
  type HostPlan,
  type Problem,
  problemOfError,
  type ServicePortPlan,
} from "@svcproxy/topology";
import type { TableKeeper } from "../change/table-keeper.ts";
import { NftRefused } from "../nft/nft-refused.ts";
import { type ApplyAllInput, applyAll, type Keepers } from "./apply-all.ts";
import { type ApplyRun, newRun } from "./apply-run.ts";
import { applySome } from "./apply-some.ts";
import { type ChangedPlan, changedPlan } from "./changed-plan.ts";
import type { OpenNftMachine } from "./nft-machine.ts";
import { type NftablesApplyReport, reportApplied } from "./nftables-report.ts";
import type { NftablesSettings } from "./nftables-settings.ts";
import { TABLE_CHANGES } from "./preserved-tables.ts";
import { ReadBack } from "./read-back.ts";
import { type ShortfallOf, StatusBook } from "./status-book.ts";
import { foreignChanges, fullTableProblem, numberProblem } from "./table-problems.ts";

export interface SessionInput {
  readonly machine: OpenNftMachine;
  readonly settings: NftablesSettings;
  readonly signal: AbortSignal;
}

/** What the kernel has, unless another program changed it. */
interface Written {
  /** As far as it was not refused. */
  readonly plan: HostPlan;
  readonly keepers: Keepers;
}

/** What a change left over goes with the next one, or when there was none for so long. */
const QUIET_MS = 1_000;

/** So many services that failed are tried again one by one; more of them are left to a look. */
const MAX_RETRIED = 8;

/** A look at all that our tables hold may take this share of the time between two of them. */
const LOOK_SHARE = 0.02;

/** Keeps in mind what it wrote, so that a small change is a small transaction, without a look at all that our tables hold. */
export class NftablesSession implements DataPathSession {
  readonly foreignChanges = TABLE_CHANGES;
  readonly #machine: OpenNftMachine;
  readonly #settings: NftablesSettings;
  readonly #signal: AbortSignal;
  readonly #status = new StatusBook();
  readonly #quiet = new QuietTime({ delayMs: QUIET_MS, work: () => void this.#inTurn(() => this.#tidy()) });
  /** Undefined: it takes a look. */
  #written: Written | undefined;
  /** The last plan that was carried out, as far as it was not refused. */
  #good: HostPlan | undefined;
  #failures: ReadonlyMap<string, Problem> = new Map();
  /** Ports that no number is left for, by service. */
  #unnumbered: ReadonlySet<ServicePortPlan> = new Set();
  /** The ports that lack their NodePort, because a program listens on it. */
  #taken: TakenNodePorts = new Map();
  readonly #listeners = new RecentListeners();
  /** What is not well with the machine, as of the last look. */
  #machineProblems: readonly Problem[] = [];
  /** What was found while nobody asked. */
  #foundProblems: readonly Problem[] = [];
  readonly #readBack = new ReadBack();
  #cleanupFailureCount = 0;
  #lastTurn: Promise<unknown> = Promise.resolve();
  #mayLookAtMs = 0;

  constructor({ machine, settings, signal }: SessionInput) {
    this.#machine = machine;
    this.#settings = settings;
    this.#signal = signal;
  }

  apply(plan: HostPlan, options: ApplyOptions = {}): Promise<NftablesApplyReport> {
    this.#quiet.stop();
    return this.#inTurn(() => this.#apply(plan, options).catch(rethrowWithState));
  }

  status(): readonly ServicePortStatus[] {
    return this.#status.list();
  }

  cleanupFailureCount(): number {
    return this.#cleanupFailureCount;
  }

  /**
   * Begins the lease of our tables anew, where they have one.
   *
   * @throws EnvironmentError; then the next look at everything brings back what is missing
   */
  renewLease(): Promise<void> {
    return this.#inTurn(async () => {
      const families = [...(this.#written?.keepers.keys() ?? [])];
      if (this.#settings.isLeased === true && families.length > 0) await this.#machine.renewLease(families);
    });
  }

  /** Leaves our tables in place, without what the last change left over in them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#quiet.stop();
    await this.#inTurn(() => this.#removeLeftover()).catch(passOverRefusal);
    await this.#machine[Symbol.asyncDispose]();
  }

  async #apply(plan: HostPlan, options: ApplyOptions): Promise<NftablesApplyReport> {
    if (this.#signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted", { cause: this.#signal.reason });
    const run = newRun();
    const { takePorts } = this.#settings;
    const { plan: served, taken } = await withoutTakenNodePorts(plan, {
      ...{ machine: this.#machine, takePorts },
      recent: options.changed === undefined ? undefined : this.#listeners,
    });
    const moved = servicesThatMoved(this.#taken, taken);
    this.#taken = taken;
    const changed = options.changed === undefined ? undefined : new Set([...options.changed, ...moved]);
    if (!(await this.#applyChanged(served, changed, run))) await this.#applyAll(served, run);
    if (this.#unnumbered.size > 0 && this.#keepers.some((keeper) => keeper.freesNumbers)) {
      await this.#removeLeftover();
      run.unnumbered.length = 0;
      await this.#applyChanged(served, new Set(), run);
    }
    this.#quiet.restart();
    const problems = [
      ...problemsOfTaken(this.#taken),
      ...this.#failures.values(),
      ...this.#numberProblems(),
      ...this.#machineProblems,
      ...this.#foundProblems,
    ];
    return reportApplied(run, { plan: served, settings: this.#settings, problems });
  }

  /** One after the other: what is done in quiet time is not an exception. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lastTurn.then(work);
    this.#lastTurn = turn.catch(() => {});
    return turn;
  }

  /** Writes what is named as changed, by what is known of the rest. @returns false where it takes a look at our tables */
  async #applyChanged(plan: HostPlan, changed: ReadonlySet<string> | undefined, run: ApplyRun): Promise<boolean> {
    const written = this.#written;
    const failed = [...this.#failures.keys()];
    if (changed === undefined || written === undefined || failed.length > MAX_RETRIED) return false;
    if (!sameContext(plan, written.plan)) return false;
    // Until it is known how this ends.
    this.#written = undefined;
    const fresh = new Set([...changed, ...[...this.#unnumbered].map(serviceName)]);
    for (const name of failed) fresh.delete(name);
    const failures = new Map<string, Problem>();
    let good = written.plan;
    let whole: ChangedPlan | undefined;
    for (const services of [fresh, ...failed.map((name) => new Set([name]))]) {
      const part = { ...changedPlan(plan, { last: good, services }), services };
      if (failed.length === 0) whole = part;
      const applied = await applySome(part.asked, {
        ...this.#input(run),
        ...part,
        ...{ keepers: written.keepers, readBack: this.#readBack },
      });
      if (applied.kind === "written") good = part.asked;
      else if (applied.kind === "look" || services === fresh) return false;
      else for (const name of services) failures.set(name, serviceProblem(name, applied.refused));
    }
    this.#keep({ plan: good, keepers: written.keepers }, failures, run);
    const services = new Set([...fresh, ...failed]);
    // A walk along all services, which is not to be gone twice.
    const { asked, ports } = whole ?? changedPlan(plan, { last: written.plan, services });
    this.#status.noteSome(asked, { services, ports, shortfall: this.#shortfallOf() });
    return true;
  }

  async #applyAll(plan: HostPlan, run: ApplyRun): Promise<void> {
    const startedMs = performance.now();
    this.#written = undefined;
    this.#readBack.clear();
    let keepers: Keepers = new Map();
    const { plan: good, failures } = await isolateRefusal(plan, {
      good: this.#good,
      refusal: (error) => (error instanceof NftRefused ? { error, suspects: () => [] } : undefined),
      attempt: async (part) => {
        run.unnumbered.length = 0;
        keepers = await applyAll(part, this.#input(run));
      },
    });
    this.#keep({ plan: good, keepers }, failures, run);
    this.#status.noteAll(plan, this.#shortfallOf());
    this.#machineProblems = await this.#machine.problemsWith(plan, { signal: this.#signal, ...this.#settings });
    this.#foundProblems = await this.#fullTables();
    this.#noteLook(startedMs);
  }

  #keep(written: Written, failures: ReadonlyMap<string, Problem>, run: ApplyRun): void {
    this.#written = written;
    this.#good = written.plan;
    this.#failures = failures;
    this.#unnumbered = new Set(run.unnumbered.map(({ plan }) => plan));
  }

  /** As of now, whenever it is asked. */
  #shortfallOf(): ShortfallOf {
    const [failures, unnumbered, taken] = [this.#failures, this.#unnumbered, this.#taken];
    return (port) => {
      const problem = failures.get(serviceName(port));
      if (problem !== undefined) return { state: "failed", problem };
      const refusal = unnumbered.has(port) ? numberProblem(serviceName(port)) : taken.get(servicePortKey(port));
      return refusal === undefined ? undefined : { state: "refused", problem: refusal };
    };
  }

  #numberProblems(): readonly Problem[] {
    return [...new Set([...this.#unnumbered].map(serviceName))].map(numberProblem);
  }

  /** Once nothing has happened for a while: what was left over goes, and from time to time everything is looked at. */
  async #tidy(): Promise<void> {
    if (this.#signal.aborted) return;
    try {
      const run = newRun();
      const readAgain = () => this.#readBack.settle({ machine: this.#machine, run, isQuiet: true });
      let isAsWritten = await readAgain();
      if (isAsWritten) {
        await this.#removeLeftover();
        isAsWritten = await readAgain();
      }
      if (!isAsWritten || performance.now() >= this.#mayLookAtMs) await this.#lookAgain(run);
    } catch (error) {
      if (!(error instanceof EnvironmentError)) throw error;
      this.#foundProblems = [problemOfError(error, { subject: "nftables" })];
    }
  }

  /** @param run what was found already */
  async #lookAgain(run: ApplyRun): Promise<void> {
    const written = this.#written;
    if (written === undefined) return;
    const startedMs = performance.now();
    this.#written = undefined;
    this.#readBack.clear();
    this.#written = { plan: written.plan, keepers: await applyAll(written.plan, this.#input(run)) };
    this.#foundProblems = [...foreignChanges(run), ...(await this.#fullTables())];
    this.#noteLook(startedMs);
  }

  #noteLook(startedMs: number): void {
    const endedMs = performance.now();
    this.#mayLookAtMs = endedMs + (endedMs - startedMs) / LOOK_SHARE;
  }

  /** Of the maps that packets write, those that had no room for some. */
  async #fullTables(): Promise<readonly Problem[]> {
    const problems: Problem[] = [];
    for (const [family, keeper] of this.#written?.keepers ?? []) {
      if (!keeper.isSticky) continue;
      const count = await this.#machine.readUnremembered(family, { signal: this.#signal });
      if (count > 0) problems.push(fullTableProblem(family, count));
    }
    return problems;
  }

  async #removeLeftover(): Promise<void> {
    const left = this.#keepers.filter((keeper) => keeper.hasLeftover);
    if (left.length === 0) return;
    const planned = left.map((keeper) => ({ keeper, change: keeper.planLeftover() }));
    const changes = planned.map(({ change }) => ({ kind: "transaction", transaction: change.transaction }) as const);
    try {
      await this.#machine.commit(changes);
    } catch (error) {
      this.#written = undefined;
      this.#cleanupFailureCount += 1;
      throw error;
    }
    for (const { keeper, change } of planned) {
      keeper.commit(change);
      this.#readBack.add(keeper.written(change));
    }
  }

  get #keepers(): readonly TableKeeper[] {
    return [...(this.#written?.keepers.values() ?? [])];
  }

  #input(run: ApplyRun): ApplyAllInput {
    return { machine: this.#machine, settings: this.#settings, signal: this.#signal, run };
  }
}

/** @throws what it is given; of a refusal with what the kernel has now */
function rethrowWithState(error: unknown): never {
  if (!(error instanceof NftRefused)) throw error;
  throw new EnvironmentError(error.code, `${error.message}; our tables are as they were`, {
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}

/** What is left over keeps nobody from working, and the next look finds it. */
function passOverRefusal(error: unknown): void {
  if (!(error instanceof EnvironmentError)) throw error;
}
