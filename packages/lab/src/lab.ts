import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { environmentWithSbin, runTool, type ToolOutput } from "@svcproxy/host";
import { enterCommand } from "./enter-command.ts";
import { findPlace, type LabProcess, requireRunning } from "./lab-process.ts";
import { childrenOf, startTimeOf } from "./processes.ts";

export interface RunOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ends the command. */
  readonly signal?: AbortSignal;
}

/** What a command says on stderr is kept whole: it is the evidence of a test that fails. */
const MAX_ERROR_BYTES = 16 << 20;

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
   * @throws EnvironmentError LAB_GONE, and those of `runTool`
   */
  async run(place: string, command: readonly string[], options: RunOptions = {}): Promise<ToolOutput> {
    const [program, ...args] = this.#enter(place, command);
    const { env = {}, ...others } = options;
    return runTool(program, args, {
      ...others,
      env: { ...environmentWithSbin(), ...env },
      timeoutMs: Number.POSITIVE_INFINITY,
      maxErrorBytes: MAX_ERROR_BYTES,
      called: `${command[0]} in ${place}`,
    });
  }

  /** Starts a command in a place. End it with `endInside`: it is a child of the process that this returns. */
  spawn(
    place: string,
    command: readonly string[],
    { stdio, env = {} }: { readonly stdio: StdioOptions; readonly env?: Readonly<Record<string, string>> },
  ): ChildProcess {
    const [program, ...args] = this.#enter(place, command);
    return spawn(program, args, { stdio, env: { ...environmentWithSbin(), ...env } });
  }

  #enter(place: string, command: readonly string[]): ReturnType<typeof enterCommand> {
    requireRunning(this.process);
    return enterCommand(this.process, findPlace(this.process, place), command);
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

/** Sends a signal; a process that is gone is no fault. */
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
