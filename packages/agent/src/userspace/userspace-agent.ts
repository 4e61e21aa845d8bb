import process from "node:process";
import { EnvironmentError, formatProblem, type HostPlan, type Topology } from "@svcproxy/topology";
import { UserspaceDataPath, type UserspaceSettings, type UserspaceSurroundings } from "@svcproxy/userspace";
import type { Logger } from "pino";
import { Agent } from "../agent.ts";
import { startObserveServer } from "../observe/observe-server.ts";
import type { PageServer } from "../observe/page-server.ts";
import { renderMetrics } from "../observe/render-metrics.ts";
import type { Source } from "../source.ts";
import { connectServiceManager, type ServiceManager } from "../systemd/service-manager.ts";
import { startSuccessor } from "./start-successor.ts";
import { USERSPACE_METRICS } from "./userspace-metrics.ts";
import { frontendsNotReady, isReady, type UserspaceStatus } from "./userspace-status.ts";

export interface UserspaceAgentOptions {
  readonly version: string;
  readonly settings: UserspaceSettings;
  /** How long connections may go on here once a successor serves; Infinity: as long as they will. */
  readonly takenOverTimeoutMs: number;
  /** Where metrics are served; absent: nowhere. */
  readonly metrics?: { readonly address: string; readonly port: number };
}

export interface UserspaceAgentSurroundings
  extends Pick<UserspaceSurroundings, "machine" | "onConnectionEnd" | "workerProgram"> {
  readonly logger: Logger;
  readonly source: Source & { refresh(): void };
  /** The program, with its arguments, that takes over from this one; absent: there is none that could be started again. */
  readonly successorProgram?: readonly [string, ...string[]];
  /** See `AgentOptions`. */
  plan(topology: Topology, previous: HostPlan | undefined): HostPlan;
}

/** A predecessor gives its metrics address up at once; this long it is tried, this often. */
const METRICS_PATIENCE_MS = 10_000;
const METRICS_RETRY_MS = 50;
/** Where a port was taken a client waits for it: it is tried again at least this often. */
const LONGEST_RETRY_MS = 5_000;

/**
 * The life of one `svcproxy userspace`: an agent that keeps the userspace data path, with metrics, and an end that drains.
 *
 * `start` once; then `reload` and `stop` at any time, `stop` again to hurry. `finished` resolves when all is cleaned up.
 */
export class UserspaceAgent {
  readonly finished: Promise<void>;
  readonly #options: UserspaceAgentOptions;
  readonly #surroundings: UserspaceAgentSurroundings;
  readonly #serviceManager: ServiceManager;
  readonly #dataPath: UserspaceDataPath;
  readonly #agent: Agent;
  readonly #startedAt = new Date().toISOString();
  readonly #end = Promise.withResolvers<void>();
  readonly #takenOver = Promise.withResolvers<void>();
  #server: PageServer | undefined;
  #isEnding = false;
  /** It was taken over, and goes on for the connections that it has. */
  #isLasting = false;

  constructor(options: UserspaceAgentOptions, surroundings: UserspaceAgentSurroundings) {
    const { logger, source } = surroundings;
    this.finished = this.#end.promise;
    this.#options = options;
    this.#surroundings = surroundings;
    this.#serviceManager = connectServiceManager({ onProblem: (message) => logger.warn(message) });
    this.#dataPath = new UserspaceDataPath(options.settings, {
      ...surroundings,
      status: () => this.status(),
      onTakenOver: () => {
        this.#takenOver.resolve();
        void this.#finish({ isTakenOver: true });
      },
      ...(surroundings.successorProgram === undefined ? {} : { reload: () => this.#startSuccessor() }),
    });
    const { vipDevices } = options.settings.proxy;
    this.#agent = new Agent({
      source,
      dataPath: this.#dataPath,
      plan: (topology, previous) => surroundings.plan(topology, previous),
      logger,
      serviceManager: this.#serviceManager,
      machine: () =>
        JSON.stringify(
          surroundings.machine.readAddresses().addresses.filter(({ device }) => !vipDevices.includes(device)),
        ),
      onOpened: async () => {
        // A predecessor has the address still.
        if (this.#dataPath.predecessorPid === undefined) await this.#serveMetrics();
      },
      patience: "none",
      longestRetryMs: LONGEST_RETRY_MS,
    });
  }

  /**
   * Serves the first plan. What fails leaves nothing behind.
   *
   * @throws InputError where the topology or a range is wrong
   * @throws EnvironmentError ALREADY_RUNNING, METRICS_ADDRESS, TOO_FEW_OPEN_FILES, FRONTENDS_NOT_SERVED (with `requireAll`) …
   */
  async start(): Promise<void> {
    try {
      await this.#agent.start();
    } catch (error) {
      await this.#close(0);
      throw error;
    }
    if (this.#dataPath.predecessorPid !== undefined) await this.#serveMetricsAfterPredecessor();
  }

  /** Reads the topology again; one that is broken is reported, and the old plan stays. */
  reload(): void {
    this.#surroundings.source.refresh();
  }

  async #startSuccessor(): Promise<void> {
    const { successorProgram, logger } = this.#surroundings;
    if (successorProgram === undefined || this.#isEnding) return;
    logger.info("reloading: starting a successor that takes over");
    await startSuccessor(successorProgram, { isTakenOver: this.#takenOver.promise });
  }

  /** Stops accepting, drains, cleans up; the second call resets what is left. One that was taken over begins to drain by the first. */
  stop(): void {
    const { drainTimeoutMs } = this.#options.settings.proxy;
    if (!this.#isEnding) void this.#finish({ isTakenOver: false });
    else void this.#dataPath.stop(this.#isLasting ? drainTimeoutMs : 0);
    this.#isLasting = false;
  }

  async #finish({ isTakenOver }: { readonly isTakenOver: boolean }): Promise<void> {
    const { logger } = this.#surroundings;
    const { takenOverTimeoutMs, settings } = this.#options;
    const { drainTimeoutMs } = settings.proxy;
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#isLasting = isTakenOver;
    if (isTakenOver) {
      // From now on the successor is the one that systemd watches.
      this.#serviceManager.close();
      // The successor waits for this address.
      await this.#server?.close();
      this.#server = undefined;
    } else {
      logger.info({ drainTimeoutMs }, "stopping: accepting no more, draining");
      void this.#serviceManager.stopping();
    }
    await this.#agent.stop();
    await this.#close(isTakenOver ? takenOverTimeoutMs : drainTimeoutMs);
    logger.info("stopped");
    this.#end.resolve();
  }

  async #close(drainTimeoutMs: number): Promise<void> {
    await this.#dataPath.stop(drainTimeoutMs);
    await this.#server?.close();
    this.#serviceManager.close();
  }

  async status(): Promise<UserspaceStatus> {
    const snapshot = await this.#dataPath.snapshot();
    if (snapshot === undefined) throw new Error("asked for a status before the start");
    const agent = this.#agent.status();
    const { name, readAt = this.#startedAt, fault } = agent.source;
    return {
      version: this.#options.version,
      pid: process.pid,
      startedAt: this.#startedAt,
      host: agent.host ?? "",
      topology: {
        file: name,
        loadedAt: readAt,
        ...(fault === undefined
          ? {}
          : { fault: { since: fault.since, message: fault.problems.map(formatProblem).join("\n") } }),
      },
      ready: agent.appliedAt !== undefined && isReady(snapshot),
      problems: agent.problems,
      agent,
      ...snapshot,
    };
  }

  async #serveMetrics(): Promise<void> {
    const { metrics } = this.#options;
    if (metrics === undefined) return;
    const { logger } = this.#surroundings;
    this.#server = await startObserveServer({
      listen: metrics,
      pages: {
        metrics: async () => renderMetrics(USERSPACE_METRICS, await this.status()),
        status: () => this.status(),
        unreadiness: async () => unreadiness(await this.status()),
      },
      onProblem: (error) => logger.warn({ err: error }, "a request for metrics failed"),
    });
    logger.info({ address: metrics.address, port: this.#server.port }, `metrics on port ${this.#server.port}`);
  }

  async #serveMetricsAfterPredecessor(): Promise<void> {
    const giveUpAt = Date.now() + METRICS_PATIENCE_MS;
    while (!this.#isEnding) {
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
}

/** Why a status is not one of a proxy that is ready, a line each. */
export function unreadiness(status: UserspaceStatus): readonly string[] {
  if (status.ready) return [];
  if (status.state === "draining") return ["draining"];
  const failed = frontendsNotReady(status.frontends);
  if (failed.length === 0) return ["starting"];
  const reasons = failed.map(({ key, state }) => `${key}: ${state.kind === "failed" ? state.reason : state.kind}`);
  return ["not every frontend listens", ...reasons];
}
