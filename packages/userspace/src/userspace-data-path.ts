import {
  type ApplyOptions,
  type ApplyReport,
  type Census,
  type ChangeNotice,
  type CleanupReport,
  type ConnectionQuestion,
  type Connections,
  type DataPath,
  type DataPathSession,
  type Difference,
  EMPTY_CENSUS,
  type Machine,
  type PlanDifference,
  type ServicePortStatus,
} from "@svcproxy/host";
import { EnvironmentError, type HostPlan, type Problem } from "@svcproxy/topology";
import { compareServed, isServed } from "./compare-served.ts";
import type { Generation } from "./instance/generation.ts";
import type { InstanceClaim, InstanceOptions } from "./instance/instance-options.ts";
import { claimInstance, queryInstance } from "./instance.ts";
import { withLocalhostIpv6 } from "./policy/localhost-node-ports.ts";
import { type Draining, RunningUserspace, type UserspaceSnapshot } from "./running-userspace.ts";
import { userspaceLimitations } from "./userspace-limitations.ts";
import type { UserspaceSettings, UserspaceSurroundings } from "./userspace-settings.ts";
import { compareVips } from "./vip/compare-vips.ts";
import { concernsVips } from "./vip/concerns-vips.ts";
import { removeLocalVips } from "./vip/local-vips.ts";

/**
 * The userspace proxy as a data path. What it promises holds for as long as this process lives: a session that is disposed of leaves
 * the proxy running, `stop` and `cleanup` end it.
 */
export class UserspaceDataPath implements DataPath {
  readonly name = "userspace";
  readonly #settings: UserspaceSettings;
  readonly #surroundings: UserspaceSurroundings;
  #running: RunningUserspace | undefined;

  constructor(settings: UserspaceSettings, surroundings: UserspaceSurroundings) {
    this.#settings = settings;
    this.#surroundings = surroundings;
  }

  limitations(plan: HostPlan): readonly Problem[] {
    return userspaceLimitations(plan);
  }

  async compare(wanted: HostPlan, { signal }: { readonly signal: AbortSignal }): Promise<PlanDifference> {
    throwIfInterrupted(signal);
    const { vipDevice, vipRanges } = this.#settings;
    const { machine } = this.#surroundings;
    const plan = withLocalhostIpv6(wanted, machine);
    const vips = await compareVips(plan, {
      machine,
      vipDevice,
      vipRanges,
      isolated: this.#running?.isolated() ?? [],
      shut: this.#running?.shut() ?? new Set(),
    });
    return { differences: [...(await this.#compareFrontends(plan)), ...vips], problems: [] };
  }

  async #compareFrontends(plan: HostPlan): Promise<readonly Difference[]> {
    if (this.#running !== undefined) return compareServed(plan, this.#running.served());
    try {
      const served = await queryInstance(this.#settings.instance, { kind: "served" });
      if (isServed(served)) return compareServed(plan, served);
      throw new EnvironmentError("OTHER_VERSION", "Cannot compare: the running proxy is of another version");
    } catch (error) {
      if (!(error instanceof EnvironmentError) || error.code !== "NOT_RUNNING") throw error;
      return compareServed(plan, { frontends: [], listening: [] });
    }
  }

  /** Nothing: what is served ends with its process. */
  async census(): Promise<Census> {
    return EMPTY_CENSUS;
  }

  async cleanup({ signal }: { readonly signal: AbortSignal }): Promise<CleanupReport> {
    throwIfInterrupted(signal);
    if (this.#running !== undefined) return { removed: await this.stop(0), problems: [] };
    return cleanUpUserspace(this.#settings.instance, this.#surroundings.machine);
  }

  /** @throws EnvironmentError TOO_FEW_OPEN_FILES, ALREADY_RUNNING, TAKE_OVER_FAILED, UNSUPPORTED_NODE, RUNTIME_DIRECTORY */
  async open(signal: AbortSignal): Promise<DataPathSession> {
    throwIfInterrupted(signal);
    const running = this.#running ?? (await RunningUserspace.start(this.#settings, this.#surroundings));
    this.#running = running;
    return new UserspaceSession(running, { machine: this.#surroundings.machine, signal });
  }

  /** Pid of the instance that this one took over from. */
  get predecessorPid(): number | undefined {
    return this.#running?.predecessorPid;
  }

  /** Undefined before `open` and after the end. */
  async connections(question: ConnectionQuestion): Promise<Connections | undefined> {
    return this.#running?.connections(question);
  }

  /** Instances that were taken over, and go on for the connections that they have; the oldest first. */
  async generations(): Promise<readonly Generation[]> {
    return (await this.#running?.generations()) ?? [];
  }

  /** Set from `stop` until the end. */
  async draining(): Promise<Draining | undefined> {
    return this.#running?.draining();
  }

  /** Undefined before `open` and after the end. */
  async snapshot(): Promise<UserspaceSnapshot | undefined> {
    return this.#running?.snapshot();
  }

  /**
   * Stops accepting, lets connections end for so long (Infinity: as they will), resets what is left, and takes away what is ours, unless a
   * successor has it. Called again meanwhile, the time counts from then on. Instances that were taken over before end likewise.
   *
   * @returns what was taken away
   */
  async stop(drainTimeoutMs: number): Promise<readonly string[]> {
    const running = this.#running;
    if (running === undefined) return [];
    const removed = await running.stop(drainTimeoutMs);
    if (this.#running === running) this.#running = undefined;
    return removed;
  }
}

class UserspaceSession implements DataPathSession {
  readonly foreignChanges: ChangeNotice = { kind: "monitor", tool: "ip", concerns: concernsVips };
  readonly #running: RunningUserspace;
  readonly #machine: Machine;
  readonly #signal: AbortSignal;
  #isFirst = true;
  /** Whether the last plan had NodePorts on ::1. */
  #hadLocalhost = false;

  constructor(
    running: RunningUserspace,
    { machine, signal }: { readonly machine: Machine; readonly signal: AbortSignal },
  ) {
    this.#running = running;
    this.#machine = machine;
    this.#signal = signal;
  }

  async apply(plan: HostPlan, options: ApplyOptions = {}): Promise<ApplyReport> {
    throwIfInterrupted(this.#signal);
    const wanted = withLocalhostIpv6(plan, this.#machine);
    // Where ::1 came or went no service's own part tells it.
    const hasLocalhost = wanted !== plan;
    const isAnew = this.#isFirst || hasLocalhost !== this.#hadLocalhost;
    const report = await this.#running.apply(wanted, isAnew ? {} : options);
    this.#isFirst = false;
    this.#hadLocalhost = hasLocalhost;
    return report;
  }

  status(): readonly ServicePortStatus[] {
    return this.#isFirst ? [] : this.#running.status();
  }

  /** The proxy runs on: see `UserspaceDataPath`. */
  async [Symbol.asyncDispose](): Promise<void> {}
}

/**
 * Takes away what a killed proxy left: VIPs, routes and the device.
 *
 * @throws EnvironmentError ALREADY_RUNNING where a proxy runs: what there is, is its
 */
export async function cleanUpUserspace(instance: InstanceOptions, machine: Machine): Promise<CleanupReport> {
  const claim = await claimForCleanUp(instance);
  try {
    await refuseWhereConnectionsGoOn(claim);
    const { removed, left } = await removeLocalVips(machine);
    return { removed, problems: left.map((problem): Problem => ({ ...problem, severity: "error" })) };
  } finally {
    await claim.release();
  }
}

/** Those that were taken over need what their connections use, also where their last successor was killed. */
async function refuseWhereConnectionsGoOn(claim: InstanceClaim): Promise<void> {
  const { known, silent } = await claim.generations();
  const pids = [...known.map(({ pid }) => pid), ...silent];
  if (pids.length === 0) return;
  const who = pids.length === 1 ? `pid ${pids[0]} still has` : `pids ${pids.join(", ")} still have`;
  throw new EnvironmentError("ALREADY_RUNNING", `Cannot clean up: ${who} connections here and needs what there is`, {
    hint: `End it first: kill ${pids.join(" ")}`,
  });
}

async function claimForCleanUp(instance: InstanceOptions): Promise<InstanceClaim> {
  try {
    return await claimInstance({ ...instance, takeOver: false });
  } catch (error) {
    if (!(error instanceof EnvironmentError) || error.code !== "ALREADY_RUNNING") throw error;
    const pid = pidIn(await queryInstance(instance).catch(() => undefined));
    const who = pid === undefined ? "a proxy" : `pid ${pid}`;
    throw new EnvironmentError("ALREADY_RUNNING", `Cannot clean up: ${who} runs here and needs what there is`, {
      cause: error,
      hint: "Stop it: it cleans up when it ends",
    });
  }
}

function throwIfInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted");
}

function pidIn(status: unknown): number | undefined {
  if (typeof status !== "object" || status === null || !("pid" in status)) return undefined;
  return typeof status.pid === "number" ? status.pid : undefined;
}
