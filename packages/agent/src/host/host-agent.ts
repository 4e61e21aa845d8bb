import process from "node:process";
import {
  countStates,
  findKubeProxy,
  makeRuntimeDirectory,
  readRecentAddresses,
  removeTraceLeftover,
  type ServicePortStatus,
  TRACE_TABLE,
  thisMachine,
  VIP_DEVICE,
} from "@svcproxy/host";
import { chooseDialect, type Dialect } from "@svcproxy/iptables";
import { EnvironmentError, type HostPlan, type Topology } from "@svcproxy/topology";
import { DEFAULT_PROXY_OPTIONS, UserspaceDataPath } from "@svcproxy/userspace";
import { Agent } from "../agent.ts";
import type { CarriedOut } from "../agent-options.ts";
import { KubeProxyReplacement } from "../kube-proxy/kube-proxy-replacement.ts";
import { RemovalGuard } from "../removal-guard.ts";
import { followFromNow, type SourceEvent } from "../source.ts";
import { connectServiceManager, type ServiceManager } from "../systemd/service-manager.ts";
import { RulesAsFound } from "./changes/as-found.ts";
import { DriftKeeper } from "./changes/drift-keeper.ts";
import { KernelWatch } from "./changes/kernel-watch.ts";
import { OwnTools } from "./changes/own-tools.ts";
import { type ChosenDataPath, chooseDataPath, type KeptDataPath } from "./data-path/choose-data-path.ts";
import { HeldConnections } from "./data-path/held-connections.ts";
import { OldDataPaths } from "./data-path/old-data-paths.ts";
import { censusFromNow } from "./data-path/read-census.ts";
import { refuseKubeProxy } from "./data-path/refuse-kube-proxy.ts";
import { watchForBetter } from "./data-path/watch-for-better.ts";
import { describeHostAgent } from "./describe-host-agent.ts";
import type { HostAgentOptions } from "./host-agent-options.ts";
import type { HostAgentStatus } from "./host-agent-status.ts";
import { HostUpkeep } from "./host-upkeep.ts";
import { InForce } from "./in-force.ts";
import { AgentPages } from "./pages/agent-pages.ts";
import { answerQuestions } from "./pages/agent-questions.ts";
import { AgentServers } from "./pages/agent-servers.ts";
import { agentSocketPath, HostPlace } from "./place/agent-place.ts";
import { Succession } from "./place/succession.ts";
import { GarbageOfPlans } from "./process/garbage-of-plans.ts";
import { collectLessOften, compileLess } from "./process/tune-v8.ts";

interface ServedAgent {
  readonly agent: Agent;
  readonly chosen: ChosenDataPath;
  readonly place: HostPlace;
}

/** The life of one `svcproxy run`: the only one of its network namespace, it keeps one data path true to a source until it is stopped. */
export class HostAgent {
  readonly #options: HostAgentOptions;
  readonly #tools = new OwnTools(thisMachine);
  readonly #serviceManager: ServiceManager;
  readonly #ending = new AbortController();
  readonly #end = Promise.withResolvers<void>();
  #starting: Promise<void> = Promise.resolve();
  readonly #startedAt = new Date();
  readonly #opened = new AsyncDisposableStack();
  readonly #inForce = new InForce();
  #chosen: ChosenDataPath | undefined;
  #agent: Agent | undefined;
  #guard: RemovalGuard | undefined;
  #asFound: RulesAsFound | undefined;
  #drift: DriftKeeper | undefined;
  #watch: KernelWatch | undefined;
  #servers: AgentServers | undefined;
  #replacement: KubeProxyReplacement | undefined;
  #succession: Succession | undefined;
  /** Another agent serves in its place, and connections that it carries go on. */
  #isSucceeded = false;
  #dialect: Dialect = "document";
  #isServing = false;
  #old: OldDataPaths | undefined;
  #held: HeldConnections | undefined;
  #upkeep: HostUpkeep | undefined;
  #garbage: GarbageOfPlans | undefined;

  constructor(options: HostAgentOptions) {
    this.#options = options;
    this.#serviceManager = connectServiceManager({ onProblem: (message) => options.logger.warn(message) });
  }

  /** Resolves when it has ended, by `stop` or because another proxy took its place. */
  get finished(): Promise<void> {
    return this.#end.promise;
  }

  /**
   * Begins to serve. What is wrong with the source or the machine later on is waited out.
   *
   * @throws EnvironmentError ALREADY_RUNNING, KUBE_PROXY_FOUND, NEEDS_ROOT, METRICS_ADDRESS, AGENT_SOCKET, RUNTIME_DIRECTORY, NO_DATA_PATH, and what a data
   * path that was asked for lacks; then nothing is left open
   */
  async start(): Promise<void> {
    const starting = this.#start();
    this.#starting = starting.catch(() => {});
    try {
      await starting;
    } catch (error) {
      await this.#opened.disposeAsync();
      // Told to end meanwhile: that is no fault.
      if (!this.#ending.signal.aborted) throw error;
    }
  }

  async #start(): Promise<void> {
    const { logger, source, takesOver, replacesKubeProxy, successorProgram } = this.#options;
    const { signal } = this.#ending;
    this.#opened.use(this.#tools);
    const directory = await makeRuntimeDirectory();
    const place = await HostPlace.take(directory, { takesOver: takesOver === true });
    this.#opened.use(place);
    void this.#removeTraceLeftover();
    // While this host is looked at; one that waits for a kube-proxy to go would begin with what was said before.
    const events = replacesKubeProxy === true ? undefined : this.#followFromNow();
    await this.#lookForKubeProxy();
    const chosen = await this.#choose();
    this.#chosen = chosen;
    this.#tuneProcess(chosen);
    signal.throwIfAborted();
    const held = this.#prepareRetirement(chosen);
    this.#opened.use(watchForBetter(chosen, { logger }));
    const agent = this.#createAgent(chosen, { place, events });
    this.#prepareUpkeep(agent);
    const succession = new Succession({
      ...{ place, logger, signal, successorProgram },
      whenAlone: () => this.#servePages(directory, { agent, chosen, place }),
    });
    this.#succession = succession;
    if (!succession.hasPredecessor) await this.#servePages(directory, { agent, chosen, place });
    logger.info({ state: "starting", dataPath: chosen.dataPath.name }, `starting: reading ${source.name}`);
    const replacement = this.#replaceKubeProxy(chosen);
    // Its chains have the names of ours: as long as it runs, one would undo the other's.
    if (chosen.dataPath.name === "iptables") await replacement?.gone;
    if (succession.hasPredecessor && chosen.dataPath.name !== "userspace")
      await held.acquaint([chosen.dataPath, ...chosen.others]);
    if (!signal.aborted) void agent.start();
  }

  /** How much of V8's compiler and of collecting garbage pays depends on what the data path does with a plan. */
  #tuneProcess({ dataPath }: ChosenDataPath): void {
    if (dataPath.name === "nftables") {
      compileLess();
      collectLessOften();
    }
    this.#garbage = this.#opened.use(new GarbageOfPlans({ collects: dataPath.name !== "userspace" }));
  }

  /** Makes ready what removes other data paths' work once this one serves. @returns what keeps their connections meanwhile */
  #prepareRetirement({ dataPath, others }: ChosenDataPath): HeldConnections {
    const { logger, replacesKubeProxy } = this.#options;
    const { signal } = this.#ending;
    const held = new HeldConnections({ machine: this.#tools.machine, logger, signal });
    this.#held = held;
    this.#old = new OldDataPaths({
      ...(dataPath.name === "userspace" ? { held } : {}),
      ...{ others, now: dataPath.name, logger, signal },
      besideKubeProxy: replacesKubeProxy === true,
    });
    return held;
  }

  #createAgent(
    { dataPath, others }: ChosenDataPath,
    { place, events }: { readonly place: HostPlace; readonly events: AsyncIterable<SourceEvent> | undefined },
  ): Agent {
    const { source, logger, told, guardLeast, minSyncMs } = this.#options;
    const { signal } = this.#ending;
    const guard = new RemovalGuard({
      ...{ least: guardLeast, logger },
      // While the source is read.
      census: censusFromNow([dataPath, ...others], { signal }),
    });
    this.#guard = guard;
    const asFound = new RulesAsFound({
      // A predecessor keeps them, as its plan has them.
      dataPaths: place.predecessorPid === undefined ? [dataPath, ...others] : [],
      ...{ logger, signal },
      isOurs: (writer) => this.#tools.isOurs(writer),
      onChange: (writer) => this.#drift?.noticed(writer),
      lookMs: () => this.#drift?.lookMs ?? 0,
    });
    this.#asFound = asFound;
    const agent = new Agent({
      ...{ source, events, dataPath, guard, asFound, logger, told },
      serviceManager: this.#serviceManager,
      plan: (topology, previous) => this.#plan(topology, previous),
      // VIPs are no addresses of the host's own, and whoever takes one away is noticed otherwise.
      machine: () => JSON.stringify(readRecentAddresses().addresses.filter(({ device }) => device !== VIP_DEVICE)),
      patience: "endless",
      ...(minSyncMs === undefined ? {} : { minSyncMs }),
      isPaused: () => this.#replacement?.writesOurChains === true,
      onCarriedOut: (outcome) => this.#carriedOut(outcome),
      onFailure: (failure) => this.#inForce.failed(failure),
    });
    this.#agent = agent;
    return agent;
  }

  /** Makes ready what is done from time to time, and what mends the changes of others. */
  #prepareUpkeep(agent: Agent): void {
    const { findingsProgram, onServing, logger } = this.#options;
    this.#upkeep = new HostUpkeep({
      ...{ agent, findingsProgram, onServing, logger, signal: this.#ending.signal },
      isPaused: () => this.#replacement?.writesOurChains === true,
    });
    this.#opened.use(this.#upkeep);
    const mend = async () => {
      const found = await agent.mend();
      this.#garbage?.looked();
      return found;
    };
    this.#drift = new DriftKeeper({ mend, logger });
  }

  /** Also where the start comes to nothing, it is let go. */
  #followFromNow(): AsyncIterable<SourceEvent> {
    const failed = new AbortController();
    this.#opened.defer(() => failed.abort());
    return followFromNow(this.#options.source, AbortSignal.any([this.#ending.signal, failed.signal]));
  }

  /** What a killed `svcproxy trace --watch` left. */
  async #removeTraceLeftover(): Promise<void> {
    const { logger } = this.#options;
    try {
      if (await removeTraceLeftover(this.#tools.machine, { signal: this.#ending.signal }))
        logger.info(`removed table ${TRACE_TABLE}, which a killed svcproxy trace --watch had left`);
    } catch (err) {
      // Whoever may not remove it has not made it.
      if (!(err instanceof EnvironmentError)) logger.error({ err }, "this is a bug in svcproxy, and was passed over");
    }
  }

  #replaceKubeProxy({ dataPath, others }: ChosenDataPath): KubeProxyReplacement | undefined {
    const { replacesKubeProxy, logger } = this.#options;
    if (replacesKubeProxy !== true) return undefined;
    const { signal } = this.#ending;
    this.#replacement = new KubeProxyReplacement({
      ...{ machine: this.#tools.machine, logger, signal },
      ownPorts: () => this.#servers?.ports ?? new Set(),
      takesChains: dataPath.name === "iptables",
      cleanUpChains: async () => {
        await others.find(({ name }) => name === "iptables")?.cleanup({ signal, handsOver: true });
      },
    });
    void this.#replacement.run();
    return this.#replacement;
  }

  async #lookForKubeProxy(): Promise<void> {
    if (this.#options.replacesKubeProxy === true) return;
    const found = await findKubeProxy(this.#tools.machine, { signal: this.#ending.signal });
    if (found === undefined) return;
    const { onKubeProxy = refuseKubeProxy } = this.#options;
    await onKubeProxy(found);
  }

  #choose(): Promise<ChosenDataPath> {
    const { dataPath, takePorts, countsTraffic, logger, workerProgram } = this.#options;
    return chooseDataPath({
      ...{
        wanted: dataPath,
        takePorts,
        countsTraffic,
        logger,
        machine: this.#tools.machine,
        signal: this.#ending.signal,
        takesOver: this.#options.takesOver === true,
      },
      dialect: () => this.#dialect,
      userspace: {
        workerProgram,
        status: async () => ({ pid: process.pid }),
        onTakenOver: () => void this.succeeded(),
      },
    });
  }

  #plan(topology: Topology, previous: HostPlan | undefined): HostPlan {
    this.#dialect = chooseDialect(topology);
    return this.#options.plan(topology, previous);
  }

  async #servePages(directory: string, { agent, chosen: { dataPath }, place }: ServedAgent): Promise<void> {
    const { source, healthAddress, metricsAddress, socketGroup, logger } = this.#options;
    const { serviceSeries, countsTraffic, waitsForPorts = false, replacesKubeProxy = false } = this.#options;
    const pages = new AgentPages(
      answerQuestions({
        ...{ agent, source, dataPath, inForce: this.#inForce, machine: this.#tools.machine },
        ...{ serviceSeries, countsTraffic, logger, signal: this.#ending.signal },
        status: () => this.status(),
        findings: async () => {
          await this.#upkeep?.look();
        },
      }),
    );
    // A kube-proxy that is to be replaced has them still.
    const servers = new AgentServers({ pages, logger, waitsForPorts: waitsForPorts || replacesKubeProxy });
    this.#opened.use(servers);
    this.#servers = servers;
    await servers.open({
      socket: { path: await agentSocketPath(directory), group: socketGroup, onLost: () => this.#keepPlace(place) },
      healthAddress,
      metricsAddress,
    });
  }

  /** The whole directory may be gone: without the lock in it, a second agent would begin beside this one. */
  async #keepPlace(place: HostPlace): Promise<void> {
    await makeRuntimeDirectory();
    const rivalPid = await place.keep();
    if (rivalPid === undefined) return;
    const text = `pid ${rivalPid} runs svcproxy run here as well, since the directory of the locks was removed: end one of the two`;
    this.#options.logger.error({ code: "ALREADY_RUNNING" }, text);
  }

  #carriedOut(outcome: CarriedOut): void {
    this.#inForce.carriedOut(outcome);
    this.#garbage?.planCarriedOut();
    this.#startWatch();
    // As far as this host takes the plan.
    this.#upkeep?.begin();
    if (!this.#isServing && servesAllItCan(outcome.ports)) {
      this.#isServing = true;
      void this.#serves();
    }
  }

  /** All of a plan that this data path can do is served for the first time. */
  async #serves(): Promise<void> {
    await this.#succession?.becomeTheOnly();
    if (this.#ending.signal.aborted) return;
    this.#old?.retire();
    if (this.#chosen?.dataPath.name !== "userspace") void this.#held?.release();
    this.#replacement?.serves();
  }

  /** Lets a successor take over where services are carried by this process. @returns false where there is no need: rules stay as they are */
  reload(): boolean {
    return this.#chosen?.dataPath.name === "userspace" && this.#succession?.start() === true;
  }

  /** Only now: while `nft monitor` runs, where that tells, a load takes several times as long. */
  #startWatch(): void {
    const [notice, drift] = [this.#agent?.foreignChanges, this.#drift];
    if (this.#watch !== undefined || notice === undefined || drift === undefined) return;
    // What was carried out when it was told to end.
    if (this.#ending.signal.aborted) return;
    this.#watch = new KernelWatch({
      notice,
      isOurs: (writer) => this.#tools.isOurs(writer),
      onChange: (writer) => drift.noticed(writer),
      lookMs: () => drift.lookMs,
      logger: this.#options.logger,
    });
  }

  status(): HostAgentStatus {
    const [agent, chosen, guard] = [this.#agent, this.#chosen, this.#guard];
    if (agent === undefined || chosen === undefined || guard === undefined)
      throw new TypeError("asked for a status before the start");
    const { version, guardLeast } = this.#options;
    return describeHostAgent({
      ...{ version, startedAt: this.#startedAt, agent: agent.status(), chosen, inForce: this.#inForce },
      ...{ drift: this.#drift, watch: this.#watch ?? this.#asFound?.watch, findings: this.#upkeep?.findings },
      guard: { least: guardLeast, heldCount: guard.heldCount },
      problems: [...(this.#servers?.problems ?? []), ...(this.#old?.problems ?? [])],
    });
  }

  /** Ends it, with what is ours in place unless it was to be taken away. */
  async stop(): Promise<void> {
    if (this.#ending.signal.aborted) this.#hurry();
    else await this.#stop();
  }

  /** Another agent serves in the place of this one, which ends with the last connection that it carries; what is ours stays in place. */
  async succeeded(): Promise<void> {
    if (this.#ending.signal.aborted) return;
    this.#isSucceeded = true;
    await this.#stop();
  }

  /** Told to end again. */
  #hurry(): void {
    const dataPath = this.#chosen?.dataPath;
    if (!(dataPath instanceof UserspaceDataPath)) return;
    void dataPath.stop(this.#isSucceeded ? DEFAULT_PROXY_OPTIONS.drainTimeoutMs : 0);
    this.#isSucceeded = false;
  }

  async #stop(): Promise<void> {
    this.#ending.abort();
    // What a start goes on to open would be closed by nobody.
    await this.#starting;
    const isSucceeded = this.#isSucceeded;
    const { logger, cleansUpOnExit } = this.#options;
    logger.info({ state: "stopping" }, isSucceeded ? "another agent serves in the place of this one" : "stopping");
    this.#watch?.stop();
    this.#drift?.stop();
    const dataPath = this.#chosen?.dataPath;
    if (isSucceeded) this.#serviceManager.close();
    else void this.#serviceManager.stopping();
    await this.#agent?.stop();
    try {
      if (isSucceeded) await this.#opened.disposeAsync();
      const drainMs = isSucceeded ? Number.POSITIVE_INFINITY : DEFAULT_PROXY_OPTIONS.drainTimeoutMs;
      if (dataPath instanceof UserspaceDataPath) {
        await dataPath.stop(drainMs);
        if (!isSucceeded) await this.#held?.release();
      } else if (cleansUpOnExit && !isSucceeded) await this.#cleanUp(dataPath);
    } finally {
      this.#serviceManager.close();
      await this.#opened.disposeAsync();
      this.#end.resolve();
    }
  }

  async #cleanUp(dataPath: KeptDataPath | undefined): Promise<void> {
    const { logger } = this.#options;
    try {
      const { signal } = new AbortController();
      const { removed = [] } = (await dataPath?.cleanup({ signal })) ?? {};
      logger.info({ removed }, `removed ${removed.join(", ")}`);
    } catch (error) {
      if (!(error instanceof EnvironmentError)) throw error;
      logger.error({ code: error.code }, `what is ours stays: ${error.message}`);
    }
  }
}

/**
 * Only what serves the plan takes the place of what served before. What this data path cannot do, and a port that a program of this host
 * holds, is told, and does not come with time: waiting for it, two data paths would serve side by side for good.
 */
function servesAllItCan(ports: readonly ServicePortStatus[]): boolean {
  return (
    countStates(ports).failed === 0 ||
    ports.every(({ state, problem }) => state !== "failed" || problem?.code === "PORT_IN_USE")
  );
}
