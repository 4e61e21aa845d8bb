import { createHash } from "node:crypto";
import process from "node:process";
import {
  type DataPathName,
  describeKubeProxy,
  type FoundKubeProxy,
  findKubeProxy,
  joinCensuses,
  makeRuntimeDirectory,
  removeTraceLeftover,
  repeat,
  TRACE_TABLE,
  thisMachine,
} from "@svcproxy/host";
import { chooseDialect, type Dialect } from "@svcproxy/iptables";
import { EnvironmentError, type HostPlan, type Problem, type Topology } from "@svcproxy/topology";
import { DEFAULT_PROXY_OPTIONS, UserspaceDataPath } from "@svcproxy/userspace";
import type { Logger } from "pino";
import { Agent } from "../agent.ts";
import type { CarriedOut } from "../agent-options.ts";
import { KubeProxyReplacement } from "../kube-proxy/kube-proxy-replacement.ts";
import { RemovalGuard } from "../removal-guard.ts";
import type { Source } from "../source.ts";
import { connectServiceManager, type ServiceManager } from "../systemd/service-manager.ts";
import { startSuccessor } from "../userspace/start-successor.ts";
import { AgentConnections } from "./agent-connections.ts";
import { AgentPages } from "./agent-pages.ts";
import { agentSocketPath, HostPlace } from "./agent-place.ts";
import { type Address, AgentServers } from "./agent-servers.ts";
import { type AgentView, readAgentView } from "./agent-view.ts";
import { addApply, NO_APPLIES } from "./apply-times.ts";
import { type ChosenDataPath, chooseDataPath, type KeptDataPath } from "./choose-data-path.ts";
import { ServiceCounterReader } from "./counters/service-counters.ts";
import { DriftKeeper } from "./drift-keeper.ts";
import type { HostAgentStatus, KernelStatus } from "./host-agent-status.ts";
import { KernelWatch } from "./kernel-watch.ts";
import { OldDataPaths } from "./old-data-paths.ts";
import { OwnTools } from "./own-tools.ts";
import { ServiceBook, type ServiceDetail } from "./service-book.ts";
import { watchForBetter } from "./watch-for-better.ts";

export interface HostAgentOptions {
  readonly version: string;
  readonly source: Source;
  readonly dataPath: DataPathName | "auto";
  /** See `ChooseOptions`. */
  readonly takePorts: ReadonlySet<number>;
  /** See `AgentOptions`. */
  readonly plan: (topology: Topology, previous: HostPlan | undefined) => HostPlan;
  /** Changes that take away more than half, and at least so many, of all VIPs or endpoints wait to be confirmed; 0: none does. */
  readonly guardLeast: number;
  /** Where probes and scrapers are answered; undefined: nowhere. */
  readonly healthAddress: Address | undefined;
  readonly metricsAddress: Address | undefined;
  /** See `AgentOptions`. */
  readonly minSyncMs?: () => number;
  /** Whether a port that another program has is waited for, instead of ending the start. */
  readonly waitsForPorts?: boolean;
  /** Whether the place of a kube-proxy that runs here is taken; else it keeps us from starting. */
  readonly replacesKubeProxy?: boolean;
  /** Whether the place of an agent that runs here is taken, once all of a plan is served. */
  readonly takesOver?: boolean;
  /** The program, with its arguments, that takes over from this one; absent: none can. */
  readonly successorProgram?: readonly [string, ...string[]];
  /** Called once all of a plan is served for the first time. */
  readonly onServing?: () => Promise<void>;
  /** Called before anything changes where a kube-proxy serves this host; default: that ends the start. */
  readonly onKubeProxy?: (found: FoundKubeProxy) => Promise<void>;
  /** Number of the group that may use the socket besides this user. */
  readonly socketGroup: number | undefined;
  /** Whether what is ours is taken away at the end. */
  readonly cleansUpOnExit: boolean;
  /** So many service ports have metrics of their own at most; 0: none has. */
  readonly serviceSeries: number;
  /** Whether nftables counts packets and bytes of each service. */
  readonly countsTraffic: boolean;
  /** See `UserspaceSurroundings`. */
  readonly workerProgram: readonly [string, ...string[]];
  readonly logger: Logger;
}

/** A lease holds for days. */
const LEASE_RENEWAL_MS = 6 * 3600 * 1000;

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
  readonly #services = new ServiceBook();
  #chosen: ChosenDataPath | undefined;
  #agent: Agent | undefined;
  #guard: RemovalGuard | undefined;
  #drift: DriftKeeper | undefined;
  #watch: KernelWatch | undefined;
  #servers: AgentServers | undefined;
  #replacement: KubeProxyReplacement | undefined;
  #place: HostPlace | undefined;
  /** Called once a predecessor has gone. */
  #whenAlone: (() => Promise<void>) | undefined;
  /** Another agent serves in its place, and connections that it carries go on. */
  #isSucceeded = false;
  #dialect: Dialect = "document";
  #applies = NO_APPLIES;
  /** Those of them for which everything was looked at. */
  #fullApplies = NO_APPLIES;
  #isServing = false;
  #old: OldDataPaths | undefined;
  #inForce: { readonly plan: HostPlan; digest?: string } | undefined;

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
    const { logger, source, guardLeast, minSyncMs } = this.#options;
    const directory = await makeRuntimeDirectory();
    const place = await HostPlace.take(directory, { takesOver: this.#options.takesOver === true });
    this.#opened.use(place);
    this.#place = place;
    void this.#removeTraceLeftover();
    await this.#lookForKubeProxy();
    const chosen = await this.#choose();
    this.#chosen = chosen;
    const { signal } = this.#ending;
    signal.throwIfAborted();
    this.#old = new OldDataPaths({
      ...{ others: chosen.others, now: chosen.dataPath.name, logger, signal },
      besideKubeProxy: this.#options.replacesKubeProxy === true,
    });
    this.#opened.use(watchForBetter(chosen, { logger }));
    const guard = new RemovalGuard({
      ...{ least: guardLeast, logger },
      census: async () => this.#census([chosen.dataPath, ...chosen.others]),
    });
    this.#guard = guard;
    const agent = new Agent({
      ...{ source, dataPath: chosen.dataPath, guard, logger },
      serviceManager: this.#serviceManager,
      plan: (topology, previous) => this.#plan(topology, previous),
      machine: () => JSON.stringify(thisMachine.readAddresses().addresses),
      patience: "endless",
      ...(minSyncMs === undefined ? {} : { minSyncMs }),
      isPaused: () => this.#replacement?.writesOurChains === true,
      onCarriedOut: (outcome) => this.#carriedOut(outcome),
    });
    this.#agent = agent;
    this.#drift = new DriftKeeper({ mend: () => agent.mend(), logger });
    // A predecessor has the socket and the ports still.
    if (place.predecessorPid === undefined) await this.#servePages(directory, chosen);
    else this.#whenAlone = () => this.#servePages(directory, chosen);
    logger.info({ state: "starting", dataPath: chosen.dataPath.name }, `starting: reading ${source.name}`);
    const replacement = this.#replaceKubeProxy(chosen);
    // Its chains have the names of ours: as long as it runs, one would undo the other's.
    if (chosen.dataPath.name === "iptables") await replacement?.gone;
    if (!this.#ending.signal.aborted) void agent.start();
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

  /** Two of them would answer for the same VIPs, and whichever is asked first would win. */
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

  /** What of ours is there from before, whichever data path put it there; what cannot be looked at does not count. */
  async #census(dataPaths: readonly KeptDataPath[]) {
    const parts = await Promise.all(
      dataPaths.map(async (dataPath) => {
        try {
          return [await dataPath.census({ signal: this.#ending.signal })];
        } catch (error) {
          if (!(error instanceof EnvironmentError) || error.code === "INTERRUPTED") throw error;
          return [];
        }
      }),
    );
    return joinCensuses(parts.flat());
  }

  async #servePages(directory: string, { dataPath }: ChosenDataPath): Promise<void> {
    const { healthAddress, metricsAddress, socketGroup, logger } = this.#options;
    const { serviceSeries, countsTraffic, waitsForPorts = false, replacesKubeProxy = false } = this.#options;
    const plan = () => this.#inForce?.plan;
    const asked = { machine: this.#tools.machine, dataPath, plan, signal: this.#ending.signal };
    const connections = new AgentConnections(asked);
    const counters = new ServiceCounterReader({ ...asked, limit: serviceSeries, countsTraffic, logger });
    const all = new ServiceCounterReader({ ...asked, limit: Number.POSITIVE_INFINITY, countsTraffic, logger });
    const pages = new AgentPages({
      status: () => this.status(),
      confirm: () => this.#confirm(),
      services: async () => ({ services: await counters.read(), plan: plan(), fullApplies: this.#fullApplies }),
      tellServices: (name) => this.#tellServices(name),
      connections: (question) => connections.ask(question),
      counters: () => all.read(),
      view: () => this.#view(),
    });
    // A kube-proxy that is to be replaced has them still.
    const servers = new AgentServers({ pages, logger, waitsForPorts: waitsForPorts || replacesKubeProxy });
    this.#opened.use(servers);
    this.#servers = servers;
    await servers.open({
      socket: { path: await agentSocketPath(directory), group: socketGroup },
      healthAddress,
      metricsAddress,
    });
  }

  #carriedOut(outcome: CarriedOut): void {
    const { isWhole, tookMs, plan } = outcome;
    this.#services.carriedOut(outcome);
    const at = new Date();
    this.#applies = addApply(this.#applies, { tookMs, at });
    if (outcome.changed === undefined) this.#fullApplies = addApply(this.#fullApplies, { tookMs, at });
    if (this.#inForce?.plan !== plan) this.#inForce = { plan };
    this.#startWatch();
    // Only what serves all of the plan takes the place of what served before.
    if (isWhole && !this.#isServing) {
      this.#isServing = true;
      void this.#becomeTheOnly();
    }
  }

  async #becomeTheOnly(): Promise<void> {
    const { logger, onServing } = this.#options;
    try {
      await this.#place?.succeed(this.#ending.signal);
      await this.#whenAlone?.();
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      if (!(error instanceof EnvironmentError)) throw error;
      logger.error({ code: error.code }, `${error.message}; this one serves, and cannot be asked`);
    }
    this.#old?.retire();
    this.#keepLease();
    onServing?.().catch((err: unknown) => logger.warn({ err }, "what comes once all is served could not be done"));
    this.#replacement?.serves();
  }

  /** Lets a successor take over where services are carried by this process. @returns false where there is no need: rules stay as they are */
  reload(): boolean {
    const { successorProgram, logger } = this.#options;
    if (this.#chosen?.dataPath.name !== "userspace" || successorProgram === undefined) return false;
    if (this.#ending.signal.aborted) return true;
    logger.info("reloading: starting a successor that takes over");
    const isTakenOver = new Promise<void>((resolve) => {
      this.#ending.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    startSuccessor(successorProgram, { isTakenOver }).catch((error: unknown) =>
      logger.error({ err: error }, "the successor failed; this one goes on"),
    );
    return true;
  }

  /** Now, because what the one before left has used up some of it, and from then on. */
  #keepLease(): void {
    const { logger } = this.#options;
    const renew = async () => this.#agent?.renewLease();
    const timer = repeat(renew, {
      everyMs: LEASE_RENEWAL_MS,
      onFault: (err) => logger.warn({ err }, "cannot renew the lease"),
    });
    this.#opened.defer(() => clearInterval(timer));
    void renew();
  }

  /** Only now: while it runs, a load takes several times as long. */
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

  async #view(): Promise<AgentView | undefined> {
    const [topology, host] = [this.#agent?.topology, this.#inForce?.plan.host.name];
    if (topology === undefined || host === undefined) return undefined;
    return readAgentView(this.#tools.machine, { topology, host, signal: this.#ending.signal });
  }

  #tellServices(name: string): readonly ServiceDetail[] {
    const { plan } = this.#inForce ?? {};
    const { ports = [] } = this.#agent?.status() ?? {};
    return plan === undefined ? [] : this.#services.tell(name, { plan, ports });
  }

  async #confirm(): Promise<string | undefined> {
    const released = this.#options.source.confirm?.();
    const confirmed = await this.#agent?.confirm();
    const texts = [released, confirmed?.problem.text].filter((text) => text !== undefined);
    if (texts.length === 0) return undefined;
    const text = texts.join("; ");
    this.#options.logger.info({ confirmed: text }, "what was held back is confirmed");
    return text;
  }

  status(): HostAgentStatus {
    const [agent, chosen, guard] = [this.#agent, this.#chosen, this.#guard];
    if (agent === undefined || chosen === undefined || guard === undefined)
      throw new TypeError("asked for a status before the start");
    const status = agent.status();
    const contest = this.#drift?.problem;
    const digest = this.#digest();
    return {
      version: this.#options.version,
      pid: process.pid,
      startedAt: this.#startedAt.toISOString(),
      ...status,
      state: contest !== undefined && status.state === "following" ? "degraded" : status.state,
      problems: [...(contest === undefined ? [] : [contest]), ...this.#ownProblems(), ...status.problems],
      passedOver: chosen.passedOver,
      ...(chosen.better === undefined ? {} : { betterDataPath: chosen.better }),
      kernel: this.#kernelStatus(),
      guard: { least: this.#options.guardLeast, heldCount: guard.heldCount },
      applies: this.#applies,
      ...(digest === undefined ? {} : { planDigest: digest }),
    };
  }

  #ownProblems(): readonly Problem[] {
    return [...(this.#servers?.problems ?? []), ...(this.#old?.problems ?? [])];
  }

  #kernelStatus(): KernelStatus {
    const [drift, watch] = [this.#drift, this.#watch];
    const last = drift?.last;
    const lookEveryMs = watch?.everyMs;
    return {
      notice: watch === undefined ? "none" : lookEveryMs === undefined ? "told" : "looking",
      ...(lookEveryMs === undefined ? {} : { lookEveryMs }),
      mended: drift?.mendedCount ?? 0,
      ...(last === undefined
        ? {}
        : { lastMended: { at: last.at.toISOString(), ...last.by, what: last.what, differences: last.count } }),
    };
  }

  /** Of the frontends and who answers them; made when somebody asks. */
  #digest(): string | undefined {
    if (this.#inForce === undefined) return undefined;
    this.#inForce.digest ??= digestOf(this.#inForce.plan);
    return this.#inForce.digest;
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
      if (dataPath instanceof UserspaceDataPath) await dataPath.stop(drainMs);
      else if (cleansUpOnExit && !isSucceeded) await this.#cleanUp(dataPath);
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

/** @throws EnvironmentError KUBE_PROXY_FOUND */
function refuseKubeProxy(found: FoundKubeProxy): never {
  const deed = found.isRunning ? "kube-proxy serves this host" : "the rules of a kube-proxy serve this host";
  throw new EnvironmentError("KUBE_PROXY_FOUND", `Cannot start: ${deed} (${describeKubeProxy(found)})`, {
    hint: `To take its place: --replace kube-proxy. Else ${found.isRunning ? "stop it" : "keep it stopped"}, and take its rules away: kube-proxy --cleanup`,
  });
}

function digestOf({ ports, node }: HostPlan): string {
  const parts = ports.map(({ service, port, family, frontends }) => [
    service.namespace,
    service.name,
    port,
    family,
    frontends,
  ]);
  return createHash("sha256")
    .update(JSON.stringify([node, parts]))
    .digest("hex")
    .slice(0, 16);
}
