import { spawn } from "node:child_process";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { type ChangeNotice, isInNetlinkGroup } from "@svcproxy/host";
import type { Logger } from "pino";
import { type ChangeMonitor, changeMonitorsOf, type Word, type Writer } from "./change-monitors.ts";

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

type MonitorNotice = Extract<ChangeNotice, { kind: "monitor" }>;

/** So many changes of one transaction wait for its writer. */
const MOST_UNREAD = 100;
/** A monitor that ended, because it was overrun or killed, is started again after this long. */
const RESTART_MS = 1_000;
/** Whether the kernel tells one already that does not say so itself. */
const READY_LOOK_MS = 50;
/** What happened before is found by a look, which comes after so long in any case. */
const READY_WITHIN_MS = 30_000;
/** Looking without being told costs at most this part of a core, */
const LOOK_SHARE = 0.002;
/** and is done at most so often and at least so often. */
const SHORTEST_LOOK_MS = 2_000;
const LONGEST_LOOK_MS = 60_000;

/** Notices that another program changed what is ours in the kernel: told by a monitor, or by looks from time to time. */
export class KernelWatch {
  readonly #options: KernelWatchOptions;
  readonly #stopped = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  /** Whether it has to look, because nothing tells. */
  #looks = false;

  constructor(options: KernelWatchOptions) {
    this.#options = options;
    const { notice } = options;
    if (notice.kind === "monitor") this.#listen(notice, changeMonitorsOf(notice.tool));
    else this.#poll();
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

  /** By the first of the monitors that the kernel tells anything; those before it have failed. */
  #listen(notice: MonitorNotice, [monitor, ...others]: readonly ChangeMonitor[]): void {
    const { logger } = this.#options;
    if (monitor === undefined) {
      const wanted = notice.tool === "nft" ? "neither perl nor nft" : `no ${notice.tool}`;
      logger.info(`there is ${wanted} to tell of changes: what is ours is looked at from time to time`);
      this.#poll();
      return;
    }
    const [program, ...args] = monitor.command();
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C" },
      detached: true,
    });
    const stop = () => child.kill("SIGKILL");
    this.#stopped.signal.addEventListener("abort", stop, { once: true });
    const ending = new AbortController();
    let listens = false;
    const isListening = () => {
      if (listens || ending.signal.aborted) return;
      listens = true;
      this.#options.onChange(undefined);
    };
    const take = this.#taker(notice, isListening);
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-STDERR_BYTES);
      if (monitor.goesOnAfterErrors) take({ kind: "lost" });
    });
    monitor.read(child.stdout, { take, fail: stop });
    if (monitor.group !== undefined) void isTold(child.pid, monitor.group, ending.signal).then(isListening);
    const ended = (why: string) => {
      if (ending.signal.aborted) return;
      ending.abort();
      this.#stopped.signal.removeEventListener("abort", stop);
      if (this.#stopped.signal.aborted) return;
      if (!listens && others.length > 0) {
        logger.info(`${monitor.name} cannot tell of changes, and another does it: ${why}`);
        this.#listen(notice, others);
        return;
      }
      logger.warn(`${monitor.name} ended, and is started again: ${why}`);
      this.#timer = setTimeout(() => this.#listen(notice, [monitor, ...others]), RESTART_MS);
    };
    child.once("error", ({ message }) => ended(message));
    child.once("close", (code, signal) => ended(said.trim() === "" ? `${signal ?? `exit code ${code}`}` : said.trim()));
  }

  /** Who made changes is told behind them: those that are our own, as most are where services change, need not be looked at. */
  #taker({ concerns }: MonitorNotice, isListening: () => void): (word: Word) => void {
    const { isOurs, onChange } = this.#options;
    let isConcerned = false;
    let unread: (() => string)[] = [];
    const read = () => {
      isConcerned ||= unread.some((describe) => concerns(describe()));
      unread = [];
    };
    return (word) => {
      switch (word.kind) {
        case "listening":
          isListening();
          return;
        case "lost":
          onChange(undefined);
          return;
        case "change":
          unread.push(word.describe);
          if (unread.length >= MOST_UNREAD) read();
          return;
        case "commit":
          if (word.writer === undefined || !isOurs(word.writer)) {
            read();
            if (isConcerned) onChange(word.writer);
          }
          unread = [];
          isConcerned = false;
      }
    };
  }

  stop(): void {
    this.#stopped.abort();
    clearTimeout(this.#timer);
  }
}

/** Resolves once a process is told of changes, or when one cannot wait for that any longer. */
async function isTold(
  pid: number | undefined,
  group: NonNullable<ChangeMonitor["group"]>,
  signal: AbortSignal,
): Promise<void> {
  const giveUpMs = performance.now() + READY_WITHIN_MS;
  const isIn = async () => pid !== undefined && (await isInNetlinkGroup(pid, group).catch(() => false));
  while (!signal.aborted && performance.now() < giveUpMs && !(await isIn()))
    await delay(READY_LOOK_MS, undefined, { signal }).catch(() => {});
}

const STDERR_BYTES = 1_024;
