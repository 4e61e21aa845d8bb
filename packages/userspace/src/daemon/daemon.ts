import process from "node:process";
import {
  EnvironmentError,
  formatProblem,
  InputError,
  type IpAddress,
  type Problem,
  problemOf,
  SvcproxyError,
} from "@svcproxy/topology";
import type { ApplyReport, InstanceClaim, ServiceProxy as RunningProxy } from "../contract.ts";
import { claimInstance } from "../instance.ts";
import { type ObserveServer, startObserveServer } from "../observe/observe-server.ts";
import { isReady, type StatusDocument, type TopologyStatus } from "../observe/status-document.ts";
import { readDescriptorLimit } from "../plane/descriptor-budget.ts";
import { createProxy } from "../proxy.ts";
import { connectServiceManager, type ServiceManager } from "../systemd/service-manager.ts";
import { checkVipRanges } from "../vip/check-vip-ranges.ts";
import { FollowedFile } from "../watch/follow-file.ts";
import type { DaemonOptions, DaemonSurroundings } from "./daemon-options.ts";
import { describeServed, PlanReporter } from "./plan-report.ts";
import { VipSteward } from "./vip-steward.ts";

/** What is no longer needed is taken away this long after its last connection may have drained. */
const TIDY_MARGIN_MS = 1_000;

/** With fewer not even the `ip` command could be run. */
const FEWEST_OPEN_FILES = 40;

/** A predecessor gives its metrics address up at once; this long it is tried, this often. */
const METRICS_PATIENCE_MS = 10_000;
const METRICS_RETRY_MS = 50;

/**
 * The life of one `svcproxy userspace`: claims the host, makes VIPs local, serves the plan, follows its changes,
 * and at the end drains and takes away what it made.
 *
 * `start` once; then `reload` and `stop` at any time, `stop` again to hurry. `finished` resolves when all is cleaned up.
 */
export class Daemon {
  readonly finished: Promise<void>;
  readonly #options: DaemonOptions;
  readonly #surroundings: DaemonSurroundings;
  readonly #vips: VipSteward;
  readonly #reporter: PlanReporter;
  readonly #systemd: ServiceManager;
  readonly #startedAt = new Date().toISOString();
  readonly #watched: FollowedFile[] = [];
  #topology: TopologyStatus;
  #host = "";
  /** Of the file that cannot be read; of the plan that is served. */
  #fileProblems: readonly Problem[] = [];
  #planProblems: readonly Problem[] = [];
  /** The first plan is carried out. */
  #isServing = false;
  #proxy: RunningProxy | undefined;
  #claim: InstanceClaim | undefined;
  #server: ObserveServer | undefined;
  /** Plans are loaded one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #ending: "no" | "stopping" | "taken-over" = "no";
  #cleaning: Promise<void> | undefined;
  #finish: () => void = () => {};

  constructor(options: DaemonOptions, surroundings: DaemonSurroundings) {
    this.#options = options;
    this.#surroundings = surroundings;
    const { logger, machine } = surroundings;
    this.#vips = new VipSteward({
      logger,
      machine,
      ranges: options.vipRanges,
      addressesInUse: () => this.#addressesInUse(),
      ...(options.vipDevice === undefined ? {} : { device: options.vipDevice }),
    });
    this.#reporter = new PlanReporter(logger);
    this.#systemd = connectServiceManager({ onProblem: (message) => logger.warn(message) });
    this.#topology = { file: options.topology, loadedAt: this.#startedAt };
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /**
   * Serves the first plan. What fails leaves nothing behind.
   *
   * @throws InputError where the topology or a range is wrong
   * @throws EnvironmentError ALREADY_RUNNING, METRICS_ADDRESS, TOO_FEW_OPEN_FILES, FRONTENDS_NOT_SERVED (with `requireAll`)
   */
  async start(): Promise<void> {
    const start = this.#start();
    this.#turn = start.catch(() => {});
    try {
      await start;
    } catch (error) {
      await this.#cleanUp();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { options, logger } = { options: this.#options, logger: this.#surroundings.logger };
    const { limit } = readDescriptorLimit();
    if (limit < FEWEST_OPEN_FILES) throw tooFewFiles(limit);
    // Before the files are read, so that no change is missed in between.
    for (const path of options.watch) this.#watched.push(this.#follow(path));
    await Promise.all(this.#watched.map((file) => file.ready));
    const plan = await this.#surroundings.loadPlan();
    checkVipRanges(options.vipRanges, plan);
    this.#host = plan.host.name;
    this.#claim = await claimInstance(options.instance);
    const { inherited, predecessorPid } = this.#claim;
    const { onConnectionEnd, workerProgram } = this.#surroundings;
    this.#proxy = await createProxy(options.proxy, {
      logger,
      onAddressesChange: () => void this.reload(),
      ...(onConnectionEnd === undefined ? {} : { onConnectionEnd }),
      ...(workerProgram === undefined ? {} : { workerProgram }),
      ...(inherited === undefined ? {} : { inherited }),
    });
    if (predecessorPid === undefined) await this.#serveMetrics();
    await this.#vips.serve(plan);
    const report = await this.#proxy.apply(plan);
    this.#isServing = true;
    this.#reporter.report(report);
    this.#planProblems = report.problems;
    if (options.requireAll) requireEveryFrontend(report);
    await this.#sayLimits();
    await this.#claim.serve({
      proxy: this.#proxy,
      status: () => this.status(),
      onTakenOver: (pid) => this.#handOver(pid),
    });
    if (predecessorPid !== undefined) {
      logger.info({ predecessor: predecessorPid }, `took over from pid ${predecessorPid}, which drains now`);
      await this.#serveMetricsAfterPredecessor();
    }
    // A predecessor's connections may still need VIPs that are not in this plan.
    this.#vips.tidyIn(predecessorPid === undefined ? 0 : options.proxy.drainTimeoutMs + TIDY_MARGIN_MS);
    await this.#systemd.ready(this.#statusLine(report));
  }

  /** Reads the topology again; one that is broken is reported, and the old plan stays. Never rejects: the proxy goes on. */
  reload(): Promise<void> {
    const { logger } = this.#surroundings;
    const turn = this.#turn
      .then(() => this.#reload())
      .catch((error: unknown) =>
        logger.error({ err: error }, "this is a bug in svcproxy: the plan could not be changed"),
      );
    this.#turn = turn;
    return turn;
  }

  async #reload(): Promise<void> {
    const { logger } = this.#surroundings;
    if (this.#ending !== "no" || this.#proxy === undefined) return;
    try {
      const plan = await this.#surroundings.loadPlan();
      checkVipRanges(this.#options.vipRanges, plan);
      await this.#vips.serve(plan);
      const report = await this.#proxy.apply(plan);
      this.#topology = { file: this.#options.topology, loadedAt: new Date().toISOString() };
      this.#fileProblems = [];
      this.#reporter.report(report);
      this.#planProblems = report.problems;
      const { onRemove, drainTimeoutMs } = this.#options.proxy;
      this.#vips.tidyIn((onRemove === "drain" ? drainTimeoutMs : 0) + TIDY_MARGIN_MS);
      await this.#systemd.status(this.#statusLine(report));
    } catch (error) {
      if (!(error instanceof SvcproxyError)) throw error;
      const problems = error instanceof InputError ? error.faults.map(problemOf) : [];
      this.#fileProblems = problems;
      const message = problems.length > 0 ? problems.map(formatProblem).join("\n") : error.message;
      const since = this.#topology.fault?.since ?? new Date().toISOString();
      this.#topology = { ...this.#topology, fault: { since, message } };
      logger.error({ code: error.code }, `the topology has a fault, the old plan stays: ${message}`);
    }
  }

  /** Stops accepting, drains, cleans up; the second call resets what is left. */
  stop(): void {
    if (this.#ending === "no") void this.#drain("stopping");
    else void this.#proxy?.drain(0);
  }

  async status(): Promise<StatusDocument> {
    if (this.#proxy === undefined) throw new Error("asked for a status before the start");
    const snapshot = await this.#proxy.snapshot();
    return {
      version: this.#options.version,
      pid: process.pid,
      startedAt: this.#startedAt,
      host: this.#host,
      topology: this.#topology,
      ready: this.#isServing && isReady(snapshot),
      problems: [...this.#fileProblems, ...this.#vips.problems, ...this.#planProblems],
      vipsNotLocal: Object.fromEntries(this.#vips.notLocal),
      ...(this.#vips.command === undefined ? {} : { vipCommand: this.#vips.command }),
      ...snapshot,
    };
  }

  /** Of frontends that left the plan: connections to endpoints that stay go on by them. */
  async #addressesInUse(): Promise<readonly IpAddress[]> {
    const { frontends = [] } = (await this.#proxy?.snapshot()) ?? {};
    return frontends.filter(({ state }) => state.kind === "draining").map(({ address }) => address);
  }

  #handOver(successorPid: number): void {
    this.#surroundings.logger.info({ successor: successorPid }, `pid ${successorPid} takes over, draining`);
    if (this.#ending === "no") void this.#drain("taken-over");
  }

  async #drain(why: "stopping" | "taken-over"): Promise<void> {
    const { logger } = this.#surroundings;
    this.#ending = why;
    const { drainTimeoutMs } = this.#options.proxy;
    if (why === "stopping") {
      logger.info({ drainTimeoutMs }, "stopping: accepting no more, draining");
      void this.#systemd.stopping();
    } else {
      // The successor waits for this address.
      await this.#server?.close();
      this.#server = undefined;
      this.#vips.abandon();
    }
    await Promise.all(this.#watched.map((file) => file.close()));
    await this.#turn;
    await this.#proxy?.drain(drainTimeoutMs);
    await this.#cleanUp();
    logger.info("stopped");
    this.#finish();
  }

  #cleanUp(): Promise<void> {
    this.#cleaning ??= this.#cleanUpOnce();
    return this.#cleaning;
  }

  async #cleanUpOnce(): Promise<void> {
    this.#systemd.close();
    await Promise.all(this.#watched.map((file) => file.close()));
    await this.#server?.close();
    await this.#proxy?.close();
    if (this.#ending === "taken-over") return;
    // Without a claim, what there is may belong to a running instance.
    if (this.#claim === undefined) return;
    if (this.#claim.predecessorPid === undefined || this.#ending === "stopping") await this.#vips.release();
    else this.#vips.abandon();
    await this.#claim.release();
  }

  async #serveMetrics(): Promise<void> {
    const { metrics } = this.#options;
    if (metrics === undefined) return;
    const { logger } = this.#surroundings;
    this.#server = await startObserveServer({
      listen: metrics,
      status: () => this.status(),
      onProblem: (error) => logger.warn({ err: error }, "a request for metrics failed"),
    });
    logger.info({ address: metrics.address, port: this.#server.port }, `metrics on port ${this.#server.port}`);
  }

  async #serveMetricsAfterPredecessor(): Promise<void> {
    const giveUpAt = Date.now() + METRICS_PATIENCE_MS;
    for (;;) {
      try {
        await this.#serveMetrics();
        return;
      } catch (error) {
        if (!(error instanceof EnvironmentError)) throw error;
        if (Date.now() > giveUpAt) {
          this.#surroundings.logger.error({ code: error.code }, error.message);
          return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, METRICS_RETRY_MS));
    }
  }

  /** @throws EnvironmentError TOO_FEW_OPEN_FILES where no connection would ever be served */
  async #sayLimits(): Promise<void> {
    const { limits } = (await this.#proxy?.snapshot()) ?? {};
    if (limits === undefined) return;
    if (limits.connections === 0) throw tooFewFiles(limits.openFiles);
    this.#surroundings.logger.info(
      limits,
      `${limits.openFiles} open files are allowed, so at most ${limits.connections} connections at a time`,
    );
  }

  #follow(path: string): FollowedFile {
    const { logger } = this.#surroundings;
    return new FollowedFile(path, {
      onChange: () => this.reload(),
      onUnreadable: (error) => {
        const reason = error instanceof Error ? error.message : String(error);
        logger.error({ file: path }, `the topology cannot be read any more, the old plan stays: ${reason}`);
      },
    });
  }

  #statusLine({ frontends }: ApplyReport): string {
    return `host ${this.#host}: ${describeServed(frontends)}`;
  }
}

function tooFewFiles(openFiles: number): EnvironmentError {
  return new EnvironmentError(
    "TOO_FEW_OPEN_FILES",
    `Cannot start: ${openFiles} open files are allowed, which leaves none for connections`,
    { hint: "Raise the limit first: ulimit -n 65536, or LimitNOFILE= in the systemd unit" },
  );
}

/** All means all: a frontend that no userspace proxy can serve is missing as well. */
function requireEveryFrontend({ frontends }: ApplyReport): void {
  const missing = frontends.filter(({ state }) => state.kind === "failed" || state.kind === "unsupported");
  const [first] = missing;
  if (first === undefined) return;
  const more = missing.length === 1 ? "" : ` and ${missing.length - 1} more`;
  const reason = "reason" in first.state ? ` (${first.state.reason})` : "";
  const needsRules = missing.some(({ state }) => state.kind === "unsupported");
  throw new EnvironmentError(
    "FRONTENDS_NOT_SERVED",
    `Cannot serve ${first.key}${reason}${more}, and --require-all was given`,
    {
      hint: needsRules
        ? "Without --require-all the others are served; what no userspace proxy can serve, rules can: svcproxy iptables apply"
        : "The lines above say why; without --require-all the others are served",
    },
  );
}
