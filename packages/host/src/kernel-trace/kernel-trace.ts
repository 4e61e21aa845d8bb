import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import type { ObservedPacket } from "@svcproxy/rules";
import { EnvironmentError } from "@svcproxy/topology";
import { tryLockNamespace } from "../lock/namespace-lock.ts";
import type { Machine } from "../machine/machine.ts";
import { isInNetlinkGroup } from "../machine/netlink-group.ts";
import { monitorCommand } from "../tools/monitor-command.ts";
import { MissingTool } from "../tools/run-tool.ts";
import { parseRuleHandles } from "./rule-handles.ts";
import { TraceAssembly } from "./trace-assembly.ts";
import { parseTraceLine } from "./trace-line.ts";
import { installTraceTable, removeTraceTable, type TracedConnection } from "./trace-table.ts";

const LOCK = "trace";
/** With 10,000 services nft reads for a second or two before it listens. */
const READY_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 20;
/** A packet is through when nothing was told for this long. */
const QUIET_MS = 250;
/** What removing the table may take at the end. */
const REMOVED_WITHIN_MS = 10_000;

export interface KernelTraceOptions {
  readonly machine: Pick<Machine, "run" | "hasTool">;
  readonly connection: TracedConnection;
  readonly forMs: number;
  /** Ends it before. */
  readonly signal: AbortSignal;
  /** Called once the kernel traces: who connects from now on is seen. */
  readonly onReady: () => void;
}

/**
 * The packets that begin one of these connections, as the kernel takes them through its rules. The table that marks them is taken away at
 * the end, and by the next call where this program was killed.
 *
 * @throws MissingTool where there is no `nft`
 * @throws EnvironmentError NEEDS_ROOT, NFT_REFUSED, ALREADY_RUNNING, TOOL_FAILED
 */
export async function* traceInKernel(options: KernelTraceOptions): AsyncGenerator<ObservedPacket, void> {
  const { machine, signal } = options;
  if (!machine.hasTool("nft")) throw new MissingTool("nft");
  const attempt = await tryLockNamespace({ name: LOCK });
  if (attempt.kind === "held") {
    const who = attempt.pid === undefined ? "another process" : `pid ${attempt.pid}`;
    throw new EnvironmentError(
      "ALREADY_RUNNING",
      `Cannot trace connections: ${who} does so in this network namespace`,
      {
        hint: "Wait until it is done, or stop it",
      },
    );
  }
  await using _lock = attempt.lock;
  await removeTraceTable(machine, { signal });
  const listing = await machine.run("nft", ["-a", "-t", "list", "ruleset"], { signal });
  const assembly = new TraceAssembly(parseRuleHandles(listing.stdout));
  await using monitor = await TraceMonitor.start(signal);
  try {
    await installTraceTable(machine, options);
    options.onReady();
    const ended = AbortSignal.any([signal, AbortSignal.timeout(options.forMs), monitor.ended]);
    while (!ended.aborted) {
      await delay(QUIET_MS, undefined, { signal: ended }).catch(() => {});
      if (monitor.drainInto(assembly)) continue;
      yield* assembly.finish();
    }
    monitor.drainInto(assembly);
    yield* assembly.finish();
    monitor.throwIfFailed();
  } finally {
    await removeTraceTable(machine, { signal: AbortSignal.timeout(REMOVED_WITHIN_MS) });
  }
}

/** Takes away what a program that was killed while it traced left behind. @returns whether there was something */
export async function removeTraceLeftover(
  machine: Pick<Machine, "run" | "hasTool">,
  { signal }: { readonly signal: AbortSignal },
): Promise<boolean> {
  if (!machine.hasTool("nft")) return false;
  const attempt = await tryLockNamespace({ name: LOCK });
  if (attempt.kind === "held") return false;
  await using _lock = attempt.lock;
  // Awaited here: it may fail while the lock is given back, when nobody else waits for it yet.
  return await removeTraceTable(machine, { signal });
}

/** `nft monitor trace`, which tells of traced packets. */
class TraceMonitor implements AsyncDisposable {
  readonly ended: AbortSignal;
  readonly #child: ReturnType<typeof startMonitor>;
  readonly #lines: string[] = [];
  readonly #closed: Promise<void>;
  #said = "";
  #isOurs = false;

  private constructor() {
    const ending = new AbortController();
    this.ended = ending.signal;
    this.#child = startMonitor();
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#said = (this.#said + text).slice(-MOST_SAID);
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      if (this.#lines.length < MOST_LINES) this.#lines.push(line);
    });
    this.#closed = new Promise((resolve) => {
      const end = () => {
        ending.abort();
        resolve();
      };
      this.#child.once("close", end).once("error", end);
    });
  }

  /** Resolves once it is told of packets. */
  static async start(signal: AbortSignal): Promise<TraceMonitor> {
    const monitor = new TraceMonitor();
    try {
      const deadlineMs = performance.now() + READY_WITHIN_MS;
      while (!(await monitor.#listens())) {
        if (signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted");
        monitor.throwIfFailed();
        if (performance.now() > deadlineMs)
          throw new EnvironmentError("TOOL_FAILED", "nft monitor did not begin to listen");
        await delay(LOOK_EVERY_MS);
      }
      return monitor;
    } catch (error) {
      await monitor[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #listens(): Promise<boolean> {
    const { pid } = this.#child;
    return pid !== undefined && (await isInNetlinkGroup(pid, "trace"));
  }

  /** @returns whether there was something */
  drainInto(assembly: TraceAssembly): boolean {
    const lines = this.#lines.splice(0).flatMap((text) => parseTraceLine(text) ?? []);
    for (const line of lines) assembly.take(line);
    return lines.length > 0;
  }

  /** @throws EnvironmentError where it ended by itself */
  throwIfFailed(): void {
    if (!this.ended.aborted || this.#isOurs) return;
    const reason = this.#said.trim();
    if (/not permitted|must be root/i.test(reason))
      throw new EnvironmentError("NEEDS_ROOT", "Cannot trace connections: that needs root", {
        hint: "Try it with sudo",
      });
    throw new EnvironmentError("TOOL_FAILED", `nft monitor ended${reason === "" ? "" : `: ${reason}`}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOurs = true;
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}

/** Lines that wait to be read; a packet has some dozen. */
const MOST_LINES = 20_000;
const MOST_SAID = 2_048;

function startMonitor() {
  const [program, ...args] = monitorCommand("nft", ["-a", "monitor", "trace"]);
  return spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, LC_ALL: "C" },
    detached: true,
  });
}
