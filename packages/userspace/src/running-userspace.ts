import process from "node:process";
import {
  type ApplyOptions,
  type ApplyReport,
  type ConnectionQuestion,
  type Connections,
  type Difference,
  type ServicePortStatus,
  servicePortStatuses,
} from "@svcproxy/host";
import { EnvironmentError, type Family, type HostPlan, type Problem, problemSentence } from "@svcproxy/topology";
import type { Served } from "./compare-served.ts";
import type { Generation, GenerationFacts } from "./instance/generation.ts";
import { GenerationKeeper } from "./instance/generation-keeper.ts";
import type { InstanceClaim } from "./instance/instance-options.ts";
import { claimInstance } from "./instance.ts";
import { planInForce } from "./plan-in-force.ts";
import { readDescriptorLimit } from "./plane/descriptor-budget.ts";
import { createProxy } from "./proxy.ts";
import type { FrontendStatus, ProxySnapshot } from "./proxy-status.ts";
import type { ServeReport, ServiceProxy } from "./service-proxy.ts";
import { requireEveryFrontend, tooFewFiles } from "./start-requirements.ts";
import { shortfalls, unservedProblems } from "./unserved.ts";
import type { UserspaceSettings, UserspaceSurroundings } from "./userspace-settings.ts";
import { compareVips } from "./vip/compare-vips.ts";
import { exposedPrograms } from "./vip/exposed-programs.ts";
import type { VipPort } from "./vip/isolation.ts";
import { PlanVips } from "./vip/plan-vips.ts";

/** With fewer not even the `ip` command could be run. */
const FEWEST_OPEN_FILES = 40;

const FAMILIES: readonly Family[] = [4, 6];

export interface UserspaceSnapshot extends ProxySnapshot {
  /** VIPs that could not be made local, with the reason. */
  readonly vipsNotLocal: Readonly<Record<string, string>>;
  /** The command that would make them local. */
  readonly vipCommand?: string;
  /** Instances that were taken over, and go on for the connections that they have; the oldest first. */
  readonly generations: readonly Generation[];
}

/** What a proxy that accepts nothing any more waits for. */
export interface Draining {
  readonly connections: number;
  readonly udpSessions: number;
  /** What is left then is reset, ISO 8601; absent: it goes on until it ends. */
  readonly endsAt?: string;
}

interface Parts {
  readonly settings: UserspaceSettings;
  readonly surroundings: UserspaceSurroundings;
  readonly claim: InstanceClaim;
  readonly proxy: ServiceProxy;
}

/** The proxy of this process: its place as the one instance, its listeners and its VIPs. */
export class RunningUserspace {
  readonly #parts: Parts;
  readonly #vips: PlanVips;
  readonly #generations: GenerationKeeper;
  #plan: HostPlan | undefined;
  #status: readonly ServicePortStatus[] = [];
  /** Looked for at the start: with many connections the kernel's list of sockets is long. */
  #exposed: readonly Problem[] = [];
  #takenOverAt: Date | undefined;
  /** After a take-over: it ends within its drain timeout, and not only with its last connection. */
  #isDraining = false;
  #drainEndsAt: Date | undefined;
  #stopping: Promise<readonly string[]> | undefined;

  private constructor(parts: Parts) {
    const { settings, surroundings, claim, proxy } = parts;
    this.#parts = parts;
    this.#vips = new PlanVips({
      machine: surroundings.machine,
      logger: surroundings.logger,
      vipDevice: settings.vipDevice,
      vipRanges: settings.vipRanges,
      isolates: settings.vipIsolation !== "off",
      // Of frontends that left the plan, too: connections to endpoints that stay go on by them, or what is to come in their place cannot listen.
      portsInUse: async () => {
        const theirs = await this.#generations.portsInUse();
        if (theirs === undefined) return undefined;
        const { frontends } = await proxy.snapshot();
        const used = frontends.filter(({ state }) => state.kind === "draining" || state.kind === "listening");
        return [...vipPorts(used), ...theirs];
      },
    });
    this.#generations = new GenerationKeeper({
      ...{ claim, logger: surroundings.logger, drainTimeoutMs: settings.proxy.drainTimeoutMs },
      connectionLimit: async () => (await proxy.snapshot()).limits.connections,
    });
  }

  /** @throws EnvironmentError TOO_FEW_OPEN_FILES, ALREADY_RUNNING, TAKE_OVER_FAILED, UNSUPPORTED_NODE, RUNTIME_DIRECTORY */
  static async start(settings: UserspaceSettings, surroundings: UserspaceSurroundings): Promise<RunningUserspace> {
    const { limit } = readDescriptorLimit();
    if (limit < FEWEST_OPEN_FILES) throw tooFewFiles(limit);
    const claim = await claimInstance(settings.instance);
    try {
      const { logger, onConnectionEnd, workerProgram } = surroundings;
      const proxy = await createProxy(settings.proxy, {
        logger,
        ...(onConnectionEnd === undefined ? {} : { onConnectionEnd }),
        ...(workerProgram === undefined ? {} : { workerProgram }),
        ...(claim.inherited === undefined ? {} : { inherited: claim.inherited }),
      });
      return new RunningUserspace({ settings, surroundings, claim, proxy });
    } catch (error) {
      await claim.release();
      throw error;
    }
  }

  /** Pid of the instance in whose place this one runs. */
  get predecessorPid(): number | undefined {
    return this.#parts.claim.predecessorPid;
  }

  /**
   * @throws InputError VIP_RANGE_TOO_WIDE
   * @throws EnvironmentError OUT_OF_DESCRIPTORS, ADDRESSES_UNREADABLE; with the first plan also FRONTENDS_NOT_SERVED, TOO_FEW_OPEN_FILES
   */
  async apply(wanted: HostPlan, options: ApplyOptions): Promise<ApplyReport> {
    const last = this.#plan;
    const { plan, changed } = planInForce(wanted, { last, changed: options.changed, status: this.#status });
    const missing = last === undefined || changed !== undefined ? [] : await this.#missingVips(plan);
    const added = await this.#vips.make(plan, { isFull: changed === undefined });
    if (last === undefined) this.#requireIsolation();
    const report = await this.#parts.proxy.apply(plan, changed === undefined ? {} : { changed });
    await this.#vips.shutPorts(vipPorts(report.frontends.filter(({ state }) => state.kind === "failed")));
    if (last === undefined) {
      await this.#begin(report);
      this.#exposed = await exposedPrograms(plan, {
        machine: this.#parts.surroundings.machine,
        ownPid: process.pid,
        notIsolated: this.#notIsolated(),
        shut: this.#vips.shut,
      });
    }
    this.#plan = plan;
    const removed = await this.#vips.tidy();
    const unserved = { frontends: report.frontends, reasons: this.#vips.notLocal };
    this.#status = servicePortStatuses({
      ...{ ports: plan.ports, before: this.#status, now: new Date() },
      shortfall: shortfalls(unserved),
    });
    // What this process may not make local was not taken away.
    const left = missing.length === 0 ? [] : (await this.#missingVips(plan)).map(({ text }) => text);
    const found = missing.filter(({ text }) => !left.includes(text));
    const hasChanged = report.changed || added || removed;
    if (hasChanged || last === undefined) this.#sayWhatIsServed(report);
    return {
      changed: hasChanged,
      problems: [...this.#vips.problems(), ...unservedProblems(unserved), ...this.#exposed],
      found: () => found,
    };
  }

  /** What of a plan's VIPs another program took away; what is there beyond the plan, connections may still need. */
  async #missingVips(plan: HostPlan): Promise<readonly Difference[]> {
    const { machine } = this.#parts.surroundings;
    const { vipDevice, vipRanges } = this.#parts.settings;
    const known = { isolated: this.isolated(), shut: this.#vips.shut };
    const differences = await compareVips(plan, { machine, vipDevice, vipRanges, ...known });
    return differences.filter(({ kind }) => kind.startsWith("missing"));
  }

  /** Why VIPs of a family lead to programs of this host. */
  #notIsolated(): ReadonlyMap<Family, string> {
    if (this.#parts.settings.vipIsolation !== "off") return this.#vips.notIsolated;
    return new Map(FAMILIES.map((family) => [family, "--no-vip-isolation was given"]));
  }

  /** Families whose VIPs lead to the services' ports alone. */
  isolated(): readonly Family[] {
    const notIsolated = this.#notIsolated();
    return FAMILIES.filter((family) => !notIsolated.has(family));
  }

  /** See `PlanVips`. */
  shut(): ReadonlySet<string> {
    return this.#vips.shut;
  }

  /** @throws EnvironmentError VIPS_NOT_ISOLATED where they must be */
  #requireIsolation(): void {
    const [reason] = this.#vips.notIsolated.values();
    if (this.#parts.settings.vipIsolation !== "required" || reason === undefined) return;
    throw new EnvironmentError("VIPS_NOT_ISOLATED", `Cannot isolate VIPs: ${reason}, and --vip-isolation was given`, {
      hint: "Without --vip-isolation VIPs are served all the same, and the programs that they lead to are named",
    });
  }

  /** The first plan is carried out: from now on this is the instance that runs. */
  async #begin({ frontends }: ServeReport): Promise<void> {
    const { settings, surroundings, claim, proxy } = this.#parts;
    if (settings.requireAll) requireEveryFrontend(frontends);
    const { limits } = await proxy.snapshot();
    if (limits.connections === 0) throw tooFewFiles(limits.openFiles);
    surroundings.logger.info(
      limits,
      `${limits.openFiles} open files are allowed, so at most ${limits.connections} connections at a time`,
    );
    await claim.serve({
      proxy,
      status: surroundings.status,
      served: () => this.served(),
      onTakenOver: (pid) => this.#takenOver(pid),
      generation: { facts: () => this.#facts(), drain: (timeoutMs) => void this.stop(timeoutMs) },
      ...(surroundings.reload === undefined ? {} : { reload: surroundings.reload }),
    });
    await this.#generations.start();
    const { predecessorPid } = claim;
    if (predecessorPid !== undefined) {
      const text = `took over from pid ${predecessorPid}, which keeps the connections that it has`;
      surroundings.logger.info({ predecessor: predecessorPid }, text);
    }
  }

  #takenOver(successorPid: number): void {
    const { logger, onTakenOver } = this.#parts.surroundings;
    this.#takenOverAt = new Date();
    this.#vips.abandon();
    this.#generations.stop();
    logger.info({ successor: successorPid }, `pid ${successorPid} takes over; connections that are left go on here`);
    onTakenOver(successorPid);
  }

  #sayWhatIsServed({ frontends, opened, closed }: ServeReport): void {
    const count = (kind: FrontendStatus["state"]["kind"]) =>
      frontends.filter(({ state }) => state.kind === kind).length;
    const counts = {
      frontends: frontends.length,
      listening: count("listening"),
      refusing: count("refusing"),
      failed: count("failed"),
      unsupported: count("unsupported"),
    };
    const supported = counts.frontends - counts.unsupported;
    const rest = counts.unsupported === 0 ? "" : `; ${counts.unsupported} more cannot be served in userspace`;
    const text = `serving ${supported - counts.failed} of ${supported} frontends${rest}`;
    this.#parts.surroundings.logger.info({ ...counts, opened, closed }, text);
  }

  status(): readonly ServicePortStatus[] {
    return this.#status;
  }

  served(): Served {
    const { proxy } = this.#parts;
    return { frontends: proxy.specs(), listening: proxy.listeners().map(({ key }) => key) };
  }

  connections(question: ConnectionQuestion): Promise<Connections> {
    return this.#parts.proxy.connections(question);
  }

  async snapshot(): Promise<UserspaceSnapshot> {
    const snapshot = await this.#parts.proxy.snapshot();
    const { notLocal, command } = this.#vips;
    return {
      ...snapshot,
      vipsNotLocal: Object.fromEntries(notLocal),
      ...(command === undefined ? {} : { vipCommand: command }),
      generations: await this.generations(),
    };
  }

  /** See `UserspaceSnapshot`. */
  async generations(): Promise<readonly Generation[]> {
    return this.#takenOverAt === undefined ? this.#generations.list() : [];
  }

  /**
   * Stops accepting, lets connections end for so long, resets what is left, and takes away what is ours, unless a successor has it. Again with 0: hurries.
   *
   * @returns what was taken away
   */
  stop(drainTimeoutMs: number): Promise<readonly string[]> {
    if (Number.isFinite(drainTimeoutMs)) this.#drainEndsAt = new Date(Date.now() + drainTimeoutMs);
    this.#isDraining ||= Number.isFinite(drainTimeoutMs);
    if (this.#stopping !== undefined) {
      void this.#parts.proxy.drain(drainTimeoutMs);
      if (this.#takenOverAt === undefined) void this.#generations.end(drainTimeoutMs);
    }
    this.#stopping ??= this.#stop(drainTimeoutMs);
    return this.#stopping;
  }

  async #stop(drainTimeoutMs: number): Promise<readonly string[]> {
    const { claim, proxy, surroundings } = this.#parts;
    this.#vips.abandon();
    const listeners = proxy.listeners().length;
    // Before the first plan is carried out, what there is belongs to the instance that is to be taken over.
    const isPredecessors = claim.predecessorPid !== undefined && this.#plan === undefined;
    // Rules serve now: this host's own connections to a VIP come from it, and what they translate would not come back to it.
    if (this.#takenOverAt === undefined && !Number.isFinite(drainTimeoutMs)) await this.#vips.endIsolation();
    const areOurs = this.#takenOverAt === undefined && !isPredecessors;
    await Promise.all([proxy.drain(drainTimeoutMs), areOurs ? this.#generations.end(drainTimeoutMs) : undefined]);
    if (this.#takenOverAt !== undefined) {
      await claim.release();
      return [];
    }
    const { removed, left } = isPredecessors ? { removed: [], left: [] } : await this.#vips.release();
    for (const problem of left) {
      surroundings.logger.warn({ code: problem.code, subject: problem.subject }, problemSentence(problem));
    }
    await claim.release();
    return listeners === 0 ? removed : [`${listeners} listeners`, ...removed];
  }

  /** Undefined while it accepts. */
  async draining(): Promise<Draining | undefined> {
    if (this.#stopping === undefined) return undefined;
    const endsAt = this.#drainEndsAt;
    const left = openIn(await this.#parts.proxy.snapshot());
    return { ...left, ...(endsAt === undefined ? {} : { endsAt: endsAt.toISOString() }) };
  }

  async #facts(): Promise<GenerationFacts> {
    const { frontends, workers } = await this.#parts.proxy.snapshot();
    return {
      takenOverAt: (this.#takenOverAt ?? new Date()).toISOString(),
      ...openIn({ workers }),
      isDraining: this.#isDraining,
      inUse: vipPorts(frontends.filter(({ counters }) => counters.active > 0)),
    };
  }
}

function openIn({ workers }: Pick<ProxySnapshot, "workers">): Pick<Draining, "connections" | "udpSessions"> {
  return {
    connections: workers.reduce((sum, { connections }) => sum + connections, 0),
    udpSessions: workers.reduce((sum, { udpSessions }) => sum + udpSessions, 0),
  };
}

function vipPorts(frontends: readonly FrontendStatus[]): readonly VipPort[] {
  return frontends.flatMap(({ kind, protocol, address, port }) =>
    kind === "nodePort" || protocol === "sctp" ? [] : [{ protocol, address, port }],
  );
}
