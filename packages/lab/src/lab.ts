import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import { enterCommand } from "./enter-command.ts";
import { findPlace, requireRunning } from "./find-place.ts";
import type { LabProcess } from "./lab-process.ts";
import { childrenOf, startTimeOf } from "./processes.ts";
import { environmentWithSbin } from "./tools.ts";

export interface RunResult {
  /** The exit code, or 128 and the signal's number. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ends the command. */
  readonly signal?: AbortSignal;
}

/** A lab that runs. Whoever has the process can use it; who started it ends it. */
export class Lab {
  readonly process: LabProcess;

  constructor(process: LabProcess) {
    this.process = process;
  }

  /**
   * Runs a command in a place to its end, whatever its exit code.
   *
   * @throws InputError UNKNOWN_PLACE
   * @throws EnvironmentError LAB_GONE
   */
  async run(place: string, command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const child = this.spawn(place, command, { stdio: ["pipe", "pipe", "pipe"], env: options.env ?? {} });
    const abort = () => endInside(child);
    options.signal?.addEventListener("abort", abort);
    try {
      child.stdin?.on("error", () => {}); // the command may exit without reading its input
      child.stdin?.end(options.input ?? "");
      const [stdout, stderr, [exitCode]] = await Promise.all([
        child.stdout === null ? Buffer.alloc(0) : buffer(child.stdout),
        child.stderr === null ? Buffer.alloc(0) : buffer(child.stderr),
        once(child, "close"),
      ]);
      return { exitCode: exitCode ?? 128 + 9, stdout: stdout.toString(), stderr: stderr.toString() };
    } finally {
      options.signal?.removeEventListener("abort", abort);
    }
  }

  /** Starts a command in a place. End it with `endInside`: it is a child of the process that this returns. */
  spawn(
    place: string,
    command: readonly string[],
    { stdio, env = {} }: { readonly stdio: StdioOptions; readonly env?: Readonly<Record<string, string>> },
  ): ChildProcess {
    requireRunning(this.process);
    const [program, ...args] = enterCommand(this.process, findPlace(this.process, place), command);
    return spawn(program, args, { stdio, env: { ...environmentWithSbin(), ...env } });
  }

  /** Ends the lab with everything in it, and waits until it is gone. */
  async down(): Promise<void> {
    await endProcess(this.process);
  }
}

/** Sends a signal to the command that `Lab.spawn` runs: `nsenter` itself passes none on. */
export function endInside(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const inside = childrenOf(child.pid);
  for (const pid of inside.length > 0 ? inside : [child.pid]) sendSignal(pid, signal);
}

export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** How long a lab may take to end by itself before it is killed. */
const END_WITHIN_MS = 3000;
const POLL_MS = 20;

async function endProcess({ pid, startTime }: LabProcess): Promise<void> {
  const isRunning = () => startTimeOf(pid) === startTime;
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (!isRunning()) return;
    sendSignal(pid, signal);
    for (let waited = 0; waited < END_WITHIN_MS && isRunning(); waited += POLL_MS) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}
