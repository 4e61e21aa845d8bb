import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { type ChangeNotice, hasTool, isInNetlinkGroup, monitorCommand } from "@svcproxy/host";
import type { Logger } from "pino";

/** Who made a change in the kernel, as far as it says. */
export interface Writer {
  readonly pid?: number;
  readonly program?: string;
}

export interface KernelWatchOptions {
  readonly notice: ChangeNotice;
  /** Whether a writer is a tool that we started. */
  readonly isOurs: (writer: Writer) => boolean;
  /** Somebody else may have changed what is ours; without a writer, nobody knows. */
  readonly onChange: (writer: Writer | undefined) => void;
  /** How long it takes to look at everything. */
  readonly lookMs: () => number;
  readonly logger: Logger;
}

type Monitor = Extract<ChangeNotice, { kind: "monitor" }>;

const MONITOR_ARGUMENTS: Readonly<Record<Monitor["tool"], readonly string[]>> = {
  nft: ["monitor"],
  ip: ["monitor", "link", "address", "route", "rule"],
};

/** A monitor that ended, because it was overrun or killed, is started again after this long. */
const RESTART_MS = 1_000;
/** Whether the kernel tells it already: nft reads all rules first, and does not say when it is done. What happened before is found by a look, */
const READY_LOOK_MS = 50;
/** which comes after so long in any case. */
const READY_WITHIN_MS = 30_000;
/** Looking without being told costs at most this part of a core, */
const LOOK_SHARE = 0.002;
/** and is done at most so often and at least so often. */
const SHORTEST_LOOK_MS = 2_000;
const LONGEST_LOOK_MS = 60_000;

/** Notices that another program changed what is ours in the kernel: told by `nft monitor` or `ip monitor`, or by looks from time to time. */
export class KernelWatch {
  readonly #options: KernelWatchOptions;
  readonly #stopped = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  /** Whether it has to look, because nothing tells. */
  #looks = false;

  constructor(options: KernelWatchOptions) {
    this.#options = options;
    const { notice, logger } = options;
    if (notice.kind === "monitor" && hasTool(notice.tool)) {
      this.#monitor(notice);
      return;
    }
    if (notice.kind === "monitor")
      logger.info(`there is no ${notice.tool} to tell of changes: what is ours is looked at from time to time`);
    this.#poll();
  }

  /** How often it looks without being told; undefined: it is told. */
  get everyMs(): number | undefined {
    if (!this.#looks) return undefined;
    return Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, this.#options.lookMs() / LOOK_SHARE));
  }

  #poll(): void {
    this.#looks = true;
    this.#timer = setTimeout(() => {
      this.#options.onChange(undefined);
      this.#poll();
    }, this.everyMs);
  }

  #monitor(notice: Monitor): void {
    const { logger, onChange } = this.#options;
    const [program, ...args] = monitorCommand(notice.tool, MONITOR_ARGUMENTS[notice.tool]);
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C" },
      detached: true,
    });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-STDERR_BYTES);
      // Overrun, `ip` says so and goes on, where nft ends.
      if (notice.tool === "ip") onChange(undefined);
    });
    const stop = () => child.kill("SIGKILL");
    this.#stopped.signal.addEventListener("abort", stop, { once: true });
    const lines = createInterface({ input: child.stdout });
    if (notice.tool === "nft") this.#readTransactions(lines, notice);
    else
      lines.on("line", (line) => {
        if (notice.concerns(line)) onChange(undefined);
      });
    const ending = new AbortController();
    void this.#lookOnceTold(child.pid, { tool: notice.tool, signal: ending.signal });
    let hasEnded = false;
    const ended = (why: string) => {
      if (hasEnded) return;
      hasEnded = true;
      ending.abort();
      this.#stopped.signal.removeEventListener("abort", stop);
      if (this.#stopped.signal.aborted) return;
      logger.warn(`${notice.tool} monitor ended, and is started again: ${why}`);
      this.#timer = setTimeout(() => this.#monitor(notice), RESTART_MS);
    };
    child.once("error", ({ message }) => ended(message));
    child.once("close", (code, signal) => ended(said.trim() === "" ? `${signal ?? `exit code ${code}`}` : said.trim()));
  }

  /** Never rejects. */
  async #lookOnceTold(
    pid: number | undefined,
    { tool, signal }: { readonly tool: Monitor["tool"]; readonly signal: AbortSignal },
  ): Promise<void> {
    const giveUpMs = performance.now() + READY_WITHIN_MS;
    const group = tool === "nft" ? "rules" : "links";
    const isTold = async () => pid !== undefined && (await isInNetlinkGroup(pid, group).catch(() => false));
    while (!signal.aborted && performance.now() < giveUpMs && !(await isTold()))
      await delay(READY_LOOK_MS, undefined, { signal }).catch(() => {});
    if (!signal.aborted && !this.#stopped.signal.aborted) this.#options.onChange(undefined);
  }

  /** Who made a transaction is told behind its lines. */
  #readTransactions(lines: Interface, { concerns }: Monitor): void {
    const { isOurs, onChange } = this.#options;
    let isConcerned = false;
    lines.on("line", (line) => {
      const writer = writerIn(line);
      if (writer === undefined) {
        isConcerned ||= concerns(line);
        return;
      }
      if (isConcerned && !isOurs(writer)) onChange(writer);
      isConcerned = false;
    });
  }

  stop(): void {
    this.#stopped.abort();
    clearTimeout(this.#timer);
  }
}

const STDERR_BYTES = 1_024;

/** `# new generation 12 by process 21077 (nft)` */
export function writerIn(line: string): Writer | undefined {
  const parts = /^# new generation \d+(?: by process (\d+) \((.*)\))?/.exec(line);
  if (parts === null) return undefined;
  const [, pid, program] = parts;
  return { ...(pid === undefined ? {} : { pid: Number(pid) }), ...(program === undefined ? {} : { program }) };
}
