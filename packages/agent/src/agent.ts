import { setTimeout as sleep } from "node:timers/promises";
import {
  type ApplyReport,
  type ChangeNotice,
  countStates,
  type DataPathName,
  type DataPathSession,
  type Difference,
  NO_COUNTS,
  repeat,
} from "@svcproxy/host";
import {
  changedServices,
  EnvironmentError,
  formatPlace,
  type HostPlan,
  InputError,
  type Problem,
  planProblems,
  problemOf,
  problemOfError,
  type SvcproxyError,
  type Topology,
} from "@svcproxy/topology";
import type { AgentOptions } from "./agent-options.ts";
import type { AgentStatus } from "./agent-status.ts";
import { ApplyPace } from "./apply-pace.ts";
import { AwaitedChanges } from "./awaited-changes.ts";
import { type AgentFacts, type Applied, describeAgent, summarizeAgent } from "./describe-agent.ts";
import { isLate } from "./is-late.ts";
import { HealthCheckServers } from "./observe/health-check-servers.ts";
import { namedProblems, ProblemLog } from "./problem-log.ts";
import { reasonsOf } from "./reasons-of.ts";
import type { HeldChange } from "./removal-guard.ts";
import { RetryTimer } from "./retry-timer.ts";
import type { RefusedEntry, SourceEvent, SourceSnapshot } from "./source.ts";

const LONGEST_RETRY_MS = 30_000;
/** The machine is looked at this often. */
const MACHINE_CHECK_MS = 5_000;
/** A source that has said nothing whole for so long may take long: until it does, the machine keeps what it had. */
const LONG_START_MS = 5_000;

/** Whoever carries plans out without an agent has to say that nobody answers health checks; here they are answered. */
const ANSWERED_HERE: Problem["code"] = "HEALTH_CHECK_UNANSWERED";

/**
 * Keeps a data path true to a source: plans what it says and has it carried out, one plan after the other. A fault of the source, a plan
 * that cannot be made and one that cannot be carried out leave in force what was, are told, and are tried again.
 *
 * `start` once, then `stop` once.
 */
export class Agent {
  readonly #options: AgentOptions;
  readonly #ending = new AbortController();
  readonly #started = Promise.withResolvers<void>();
  readonly #awaited = new AwaitedChanges();
  readonly #problemLog: ProblemLog;
  readonly #healthChecks: HealthCheckServers;
  readonly #retry: RetryTimer;
  readonly #pace = new ApplyPace();
  #following: Promise<void> = Promise.resolve();
  /** One thing after the other. */
  #turn: Promise<void> = Promise.resolve();
  #session: DataPathSession | undefined;
  /** The last of which a plan could be made. */
  #snapshot: SourceSnapshot | undefined;
  #readAt: Date | undefined;
  #sourceFault: { readonly since: Date; readonly problems: readonly Problem[] } | undefined;
  /** The last that was made, and the last that was carried out. */
  #plan: HostPlan | undefined;
  #applied: Applied | undefined;
  #failure: { readonly since: Date; readonly problem: Problem } | undefined;
  /** After a bug nothing is known of what is in force. */
  #isUnsure = false;
  #machine = "";
  #machineCheck: NodeJS.Timeout | undefined;
  #staleCheck: NodeJS.Timeout | undefined;
  #longStart: NodeJS.Timeout | undefined;
  #busySince: Date | undefined;
  /** Since when a plan waits to be carried out whole; one that is held back does not. */
  #pendingSince: Date | undefined;
  #turnStartedMs = 0;
  /** Whether what is under way concerns only services that changed. */
  #isPartial = false;
  #isReady = false;
  #said = "starting";

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#problemLog = new ProblemLog(options.logger, options);
    this.#healthChecks = new HealthCheckServers({ logger: options.logger, isHealthy: () => this.#keepsUp() });
    this.#retry = new RetryTimer(() => void this.#inTurn(() => this.#carryOut()), {
      longestMs: options.longestRetryMs ?? LONGEST_RETRY_MS,
    });
  }

  /**
   * Carries the first plan out. With `patience: "endless"` it waits for a source and a machine that let it, else what keeps it from that ends it.
   *
   * @throws SvcproxyError where it could not be started; then nothing is left open
   */
  async start(): Promise<void> {
    this.#following = this.#follow();
    this.#watchSource();
    this.#longStart = setTimeout(() => void this.#inTurn(() => this.#keepAsFound()), LONG_START_MS);
    try {
      await this.#started.promise;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** As long as there is nothing better. */
  async #keepAsFound(): Promise<void> {
    if (this.#applied === undefined) await this.#options.asFound?.keep();
  }

  async #follow(): Promise<void> {
    const { source, events = source.follow(this.#ending.signal) } = this.#options;
    for await (const event of events) {
      const startedMs = performance.now();
      await this.#inTurn(() => this.#take(event));
      // What comes meanwhile comes in one; what comes after a quiet time waits for nothing.
      const pauseMs = this.#pace.pauseMs({ startedMs, endedMs: performance.now() });
      await this.#pause(Math.max(pauseMs, this.#options.minSyncMs?.() ?? 0));
    }
    this.#started.resolve(); // where it was stopped before
  }

  async #pause(pauseMs: number): Promise<void> {
    if (pauseMs > 0) await sleep(pauseMs, undefined, { signal: this.#ending.signal }).catch(() => {});
  }

  /** Never rejects. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(async () => {
      if (this.#ending.signal.aborted) return;
      this.#busySince = new Date();
      this.#turnStartedMs = performance.now();
      this.#isPartial = false;
      try {
        await work();
      } catch (error) {
        this.#failed(error);
      }
      this.#busySince = undefined;
      if (!this.#ending.signal.aborted) this.#sayState();
    });
    return this.#turn;
  }

  /** What ends an impatient start, and what nobody expected. */
  #failed(error: unknown): void {
    if (this.#applied === undefined && this.#options.patience === "none") {
      this.#started.reject(error);
      this.#ending.abort();
      return;
    }
    const tookMs = performance.now() - this.#turnStartedMs;
    this.#options.onFailure?.({ isPartial: this.#isPartial, tookMs });
    if (error instanceof EnvironmentError) this.#failure = failureOf(error, this.#failure);
    else {
      this.#options.logger.error({ err: error }, "this is a bug in svcproxy: the plan could not be carried out");
      this.#isUnsure = true;
    }
    this.#retry.failed();
  }

  async #take(event: SourceEvent): Promise<void> {
    if (event.kind === "snapshot") {
      this.#awaited.add(event.begun ?? []);
      this.#options.guard?.told(event.isMeant);
    }
    if (event.kind === "problem") await this.#sourceFailed(event.problems, event.error);
    // Nothing may be taken away by a part of the state.
    else if (event.complete && (await this.#makePlan(event))) await this.#carryOut();
  }

  async #sourceFailed(problems: readonly Problem[], error: SvcproxyError): Promise<void> {
    if (this.#applied === undefined && this.#options.patience === "none") throw error;
    this.#sourceFault = { since: this.#sourceFault?.since ?? new Date(), problems };
    const text = namedProblems(reasonsOf(problems));
    const what =
      this.#applied !== undefined
        ? "the old plan stays"
        : (await this.#options.asFound?.keep()) === true
          ? "what was in force at the start stays"
          : "nothing is served yet";
    this.#options.logger.error({ code: error.code }, `the topology has a fault, ${what}: ${text}`);
  }

  /** Whether there can be a plan of it. */
  async #makePlan(snapshot: SourceSnapshot): Promise<boolean> {
    const { plan, machine } = this.#options;
    try {
      // Before the plan is made, so that no change of the machine is missed.
      this.#machine = machine?.() ?? "";
      this.#plan = plan(snapshot.topology, this.#plan);
      if (snapshot !== this.#snapshot) this.#readAt = new Date();
      this.#snapshot = snapshot;
      this.#sourceFault = undefined;
      return true;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      await this.#sourceFailed(error.faults.map(problemOf), error);
      return false;
    }
  }

  async #carryOut(): Promise<void> {
    if (this.#plan === undefined) return;
    this.#retry.cancel();
    if (this.#options.isPaused?.() === true) {
      this.#pendingSince = undefined;
      this.#retry.failed();
      return;
    }
    this.#pendingSince ??= new Date();
    const isHeld =
      (await this.#options.guard?.holds(this.#plan, this.#applied?.plan, { withdrawn: this.#snapshot?.withdrawn })) ===
      true;
    const plan = isHeld ? this.#applied?.plan : this.#plan;
    // What the machine has from before serves on.
    if (plan === undefined) {
      this.#pendingSince = undefined;
      await this.#keepAsFound();
      return this.#nowReady();
    }
    const startedMs = performance.now();
    const session = this.#session ?? (await this.#open());
    const before = this.#isUnsure ? undefined : this.#applied;
    const changed = before === undefined ? undefined : changedServices(plan, before.plan);
    this.#isPartial = changed !== undefined;
    const report = await session.apply(plan, changed === undefined ? {} : { changed });
    const ports = session.status();
    const programmed = isHeld ? [] : this.#awaited.settle(ports);
    this.#isUnsure = false;
    this.#failure = undefined;
    this.#pendingSince = undefined;
    await this.#carriedOut(plan, { session, report });
    const isWhole = countStates(ports)["in-force"] === ports.length;
    const { deletedUdpFlows = NO_COUNTS, settledUdpMs, ruleCounts, refusedPart = false, continues = false } = report;
    const tookMs = performance.now() - startedMs;
    const measured = { deletedUdpFlows, settledUdpMs, ruleCounts, refusedPart, continues, programmed };
    this.#options.onCarriedOut?.({ plan, changed, ports, isWhole, tookMs, ...measured });
  }

  /** See `DataPathSession`; undefined: this data path leaves nothing over. */
  get cleanupFailureCount(): number | undefined {
    return this.#session?.cleanupFailureCount?.();
  }

  /** The last of which a plan could be made. */
  get topology(): Topology | undefined {
    return this.#snapshot?.topology;
  }

  /** How another program's changes are noticed; undefined: not at all, or nothing was carried out yet. */
  get foreignChanges(): ChangeNotice | undefined {
    return this.#applied === undefined ? undefined : this.#session?.foreignChanges;
  }

  /**
   * Looks at all that is ours, and mends what is not as it was written, or found while the first plan is held back.
   *
   * @returns what had to be mended; undefined: nothing is in force or kept, or it failed, which the status tells and which is tried again
   */
  async mend(): Promise<readonly Difference[] | undefined> {
    let found: readonly Difference[] | undefined;
    await this.#inTurn(async () => {
      const [session, applied] = [this.#session, this.#applied];
      if (this.#options.isPaused?.() === true) return;
      if (session === undefined || applied === undefined) {
        found = await this.#options.asFound?.restore();
        return;
      }
      const report = await session.apply(applied.plan);
      this.#isUnsure = false;
      const differences = report.found?.() ?? [];
      found = report.changed && differences.length === 0 ? [somethingGone(this.#options.dataPath.name)] : differences;
      // What waits to be tried again, a newer plan perhaps, goes on waiting.
      if (this.#retry.at === undefined) await this.#carriedOut(applied.plan, { session, report });
    });
    return found;
  }

  /** What is ours answers for some days more. Never rejects: what cannot be renewed now is tried again long before it is over. */
  async renewLease(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#applied !== undefined) await this.#session?.renewLease?.();
    });
  }

  /** Carries out the change that is held back. @returns what it was; undefined: there is none */
  async confirm(): Promise<HeldChange | undefined> {
    let confirmed: HeldChange | undefined;
    await this.#inTurn(async () => {
      confirmed = this.#options.guard?.confirm();
      if (confirmed !== undefined) await this.#carryOut();
    });
    return confirmed;
  }

  async #open(): Promise<DataPathSession> {
    const { dataPath, onOpened } = this.#options;
    const session = await dataPath.open(this.#ending.signal);
    this.#session = session;
    await onOpened?.();
    return session;
  }

  async #carriedOut(plan: HostPlan, { session, report }: { session: DataPathSession; report: ApplyReport }) {
    const { dataPath, serviceManager } = this.#options;
    this.#options.asFound?.release();
    const limitations = dataPath.limitations(plan).filter(({ code }) => code !== ANSWERED_HERE);
    this.#applied = { plan, at: new Date(), problems: [...planProblems(plan), ...limitations, ...report.problems] };
    this.#healthChecks.apply(plan.healthChecks);
    this.#problemLog.tell([
      ...(this.#snapshot?.refused ?? []).flatMap(toldRefusals),
      ...(this.#snapshot?.warnings ?? []),
      ...this.#applied.problems,
    ]);
    if (countStates(session.status()).failed > 0) this.#retry.failed();
    else this.#retry.succeeded();
    if (this.#isReady) await serviceManager.status(this.#statusLine());
    else await this.#nowReady();
  }

  async #nowReady(): Promise<void> {
    if (this.#isReady) return;
    this.#isReady = true;
    await this.#options.serviceManager.ready(this.#statusLine());
    this.#watchMachine();
    this.#started.resolve();
  }

  #watchSource(): void {
    const { source, logger } = this.#options;
    if (source.lastHeard === undefined) return;
    this.#staleCheck = repeat(() => this.#sayState(), {
      everyMs: MACHINE_CHECK_MS,
      onFault: (err) => logger.warn({ err }, "cannot tell how the source stands"),
    });
  }

  /** NodePorts are served on addresses that the machine has now. */
  #watchMachine(): void {
    const { machine, logger } = this.#options;
    if (machine === undefined || this.#ending.signal.aborted) return;
    this.#machineCheck = repeat(
      async () => {
        if (machine() === this.#machine) return;
        await this.#inTurn(async () => {
          if (this.#snapshot !== undefined && (await this.#makePlan(this.#snapshot))) await this.#carryOut();
        });
      },
      { everyMs: MACHINE_CHECK_MS, onFault: (err) => logger.warn({ err }, "cannot look at this machine") },
    );
  }

  /** Whether what is to be done is done in time. kube-proxy's measure; what a source that is silent last said counts. */
  #keepsUp(): boolean {
    return !isLate(this.#pendingSince) && !isLate(this.#busySince);
  }

  /** How it stands now; asked for and told as a whole. */
  status(): AgentStatus {
    return describeAgent(this.#facts());
  }

  #facts(): AgentFacts {
    const { source, dataPath, guard } = this.#options;
    return {
      ...{ source, readAt: this.#readAt, sourceFault: this.#sourceFault, warnings: this.#snapshot?.warnings ?? [] },
      refused: this.#snapshot?.refused ?? [],
      staleEndpoints: this.#snapshot?.staleEndpoints ?? 0,
      ...{ dataPath: dataPath.name, applied: this.#applied, failure: this.#failure, held: guard?.held },
      ...{ isUnsure: this.#isUnsure, isStopping: this.#ending.signal.aborted },
      ...{ busySince: this.#busySince, retryAt: this.#retry.at },
      ports: this.#session?.status() ?? [],
    };
  }

  #sayState(): void {
    const { state, why } = summarizeAgent(this.#facts());
    const text = why === undefined ? state : `${state}: ${why}`;
    if (text === this.#said) return;
    this.#said = text;
    this.#options.logger[state === "following" ? "info" : "warn"]({ state }, text);
  }

  #statusLine(): string {
    const ports = this.#session?.status() ?? [];
    return `host ${this.#plan?.host.name}: ${countStates(ports)["in-force"]} of ${ports.length} service ports in force`;
  }

  /** Follows no more, and leaves in force what is. Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#ending.abort();
    this.#retry.cancel();
    clearInterval(this.#machineCheck);
    clearInterval(this.#staleCheck);
    clearTimeout(this.#longStart);
    // A balancer is to send nobody here any more.
    this.#healthChecks.close();
    await this.#following;
    await this.#turn;
    this.#retry.cancel();
    await this.#session?.[Symbol.asyncDispose]();
    this.#session = undefined;
  }
}

/** What the log says of an entry that is refused. */
function toldRefusals({ entry, isKept, problems }: RefusedEntry): readonly Problem[] {
  const what = isKept ? "its last good state stays" : "it is not served";
  return reasonsOf(problems).map(({ at, ...problem }) => {
    const place = at === undefined ? "" : `${formatPlace(at)}: `;
    return { ...problem, text: `${entry} is refused, ${what}: ${place}${problem.text}` };
  });
}

/** Where all is gone a data path has nothing that it could compare. */
function somethingGone(dataPath: DataPathName): Difference {
  return { kind: "missing", place: dataPath, text: `What is ours of ${dataPath} was not there` };
}

function failureOf(error: EnvironmentError, before: { readonly since: Date } | undefined) {
  return { since: before?.since ?? new Date(), problem: problemOfError(error, { subject: "this host" }) };
}
