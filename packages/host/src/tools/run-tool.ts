import { spawn } from "node:child_process";
import process from "node:process";
import { Readable, type Writable } from "node:stream";
import { EnvironmentError } from "@svcproxy/topology";
import type { DescriptorReserve } from "../machine/descriptor-reserve.ts";
import { toolCommand } from "../machine/host-root.ts";
import { outOfDescriptors, systemCode } from "./system-error.ts";
import { splitText, TextInParts } from "./text-in-parts.ts";
import { packageOf } from "./tool-path.ts";

/** Most that a tool may print: the rules of some 100,000 services. */
const MAX_OUTPUT_BYTES = 1 << 30;

/** Most of a tool's stderr that is kept: what an error quotes. */
const MAX_ERROR_BYTES = 16 << 10;

/** A tool that does not end by then hangs. Loading 10,000 services takes a few seconds. */
const TIMEOUT_MS = 120_000;

/** A tool that was killed is waited for, because what it asked of the kernel may still go in; this long at most. */
const KILLED_WITHIN_MS = 5_000;

export interface ToolOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ToolOptions {
  /** For its stdin, which is empty otherwise. */
  readonly input?: string;
  /** Kills the tool and what it started. */
  readonly signal?: AbortSignal;
  /** Default two minutes; `Infinity`: as long as it takes. */
  readonly timeoutMs?: number;
  /** Default 1 GiB; a tool that prints more is killed. */
  readonly maxOutputBytes?: number;
  /** Default 16 KiB; what goes beyond is dropped. */
  readonly maxErrorBytes?: number;
  /** Its environment, in which the locale is always C; default ours. */
  readonly env?: NodeJS.ProcessEnv;
  /** How faults call it, where the tool is only the way into a namespace; default its name. */
  readonly called?: string;
  /** Called with the tool's pid as soon as it runs. */
  readonly onStarted?: ((pid: number) => void) | undefined;
  /** A file descriptor that stays open in the tool as long as it runs. */
  readonly heldFd?: number | undefined;
  /** Descriptors to start it with, for a tool that must not fail for want of them. */
  readonly reserve?: DescriptorReserve | undefined;
}

export type ToolRunner = (tool: string, args: readonly string[], options?: ToolOptions) => Promise<ToolOutput>;

/** That a program is not on this machine. */
export class MissingTool extends EnvironmentError {
  constructor(tool: string, options: { readonly cause?: unknown } = {}) {
    super("MISSING_TOOL", `Cannot run ${tool}: it is not on this machine`, {
      ...options,
      hint: `Install it, on Debian or Ubuntu with: apt-get install ${packageOf(tool)} (PATH must lead to it, often by /usr/sbin)`,
    });
  }
}

/** That a signal which was not ours ended a program: it crashed, or somebody killed it. */
export class EndedTool extends EnvironmentError {
  readonly by: string;

  constructor(tool: string, by: string) {
    super("TOOL_FAILED", `${tool} was ended by ${by} before it was done`);
    this.by = by;
  }
}

/**
 * Runs a program that PATH leads to, to its end, without a shell, in the C locale, with bounds on time and output.
 *
 * @returns what it said, whatever its exit code
 * @throws MissingTool
 * @throws EnvironmentError TOOL_FAILED where it could not be started or had to be killed, OUT_OF_DESCRIPTORS, INTERRUPTED
 */
export async function runTool(tool: string, args: readonly string[], options: ToolOptions = {}): Promise<ToolOutput> {
  const { signal, reserve } = options;
  if (signal?.aborted === true) throw interrupted(signal);
  try {
    reserve?.lend();
    return await runToEnd(tool, args, options);
  } finally {
    reserve?.refill();
  }
}

function runToEnd(
  tool: string,
  args: readonly string[],
  {
    input = "",
    signal,
    timeoutMs = TIMEOUT_MS,
    maxOutputBytes = MAX_OUTPUT_BYTES,
    maxErrorBytes = MAX_ERROR_BYTES,
    env = process.env,
    called = tool,
    heldFd,
    onStarted,
  }: ToolOptions,
): Promise<ToolOutput> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    let killed: EnvironmentError | undefined;
    const settle = <T>(settler: (value: T) => void, value: T) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      settler(value);
    };
    const kill = (why: EnvironmentError) => {
      if (killed !== undefined) return;
      killed = why;
      killGroup(child.pid);
      clearTimeout(timer);
      const isOver = child.exitCode !== null || child.signalCode !== null;
      timer = setTimeout(() => settle(reject, why), isOver ? 0 : KILLED_WITHIN_MS);
    };
    const abort = () => kill(interrupted(signal));

    const child = startTool(tool, { args, env, heldFd });
    if (child.pid !== undefined) onStarted?.(child.pid);
    const stdout = new Collected(child.stdout, maxOutputBytes, () =>
      kill(failed(`${called} was stopped: it printed more than ${maxOutputBytes} bytes`)),
    );
    const stderr = new Collected(child.stderr, maxErrorBytes);
    child.once("error", (error) => settle(reject, startFailure(tool, error)));
    child.once("exit", (exitCode, by) => {
      if (killed !== undefined) settle(reject, killed);
      else if (exitCode === null) settle(reject, new EndedTool(called, by ?? "a signal"));
    });
    child.once("close", (exitCode) => {
      settle(resolve, { exitCode: exitCode ?? 1, stdout: stdout.text(), stderr: stderr.text() });
    });
    signal?.addEventListener("abort", abort, { once: true });
    if (timeoutMs !== Number.POSITIVE_INFINITY) {
      timer = setTimeout(() => kill(failed(`${called} did not end within ${timeoutMs / 1000} s`)), timeoutMs);
    }
    feed(child.stdin, input);
  });
}

function startTool(
  tool: string,
  { args, env, heldFd }: { readonly args: readonly string[] } & Pick<ToolOptions, "env" | "heldFd">,
) {
  try {
    const { program, before } = toolCommand(tool);
    return spawn(program, [...before, ...args], {
      stdio: ["pipe", "pipe", "pipe", ...(heldFd === undefined ? [] : [heldFd])],
      env: { ...env, LC_ALL: "C" },
      // A session and process group of its own: a Ctrl-C is for us, and must not end a program that is about to commit.
      detached: true,
    });
  } catch (error) {
    throw startFailure(tool, error);
  }
}

/** @param stdin there is none where there was no descriptor for it */
function feed(stdin: Writable | null | undefined, input: string): void {
  if (stdin === null || stdin === undefined) return;
  stdin.on("error", () => {}); // it may end without reading its input
  Readable.from(splitText(input)).pipe(stdin);
}

/** With the children of those that only wait for one, as `nsenter` does. */
function killGroup(leader: number | undefined): void {
  if (leader === undefined) return; // it could not be started
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // It is over already, or runs as another user by now: then it is not waited for.
  }
}

function startFailure(tool: string, cause: unknown): unknown {
  const code = systemCode(cause);
  // A program that nobody may run is as good as none.
  if (code === "ENOENT" || code === "EACCES") return new MissingTool(tool, { cause });
  if (code === "EAGAIN") {
    return failed(`Cannot run ${tool}: no more processes may be started here`, {
      cause,
      hint: "Raise the limit of processes: ulimit -u, or TasksMax= in the systemd unit",
    });
  }
  if (code === undefined) return cause;
  return outOfDescriptors(`Cannot run ${tool}`, cause) ?? failed(`Cannot run ${tool}: ${code}`, { cause });
}

function failed(message: string, options: { readonly cause?: unknown; readonly hint?: string } = {}): EnvironmentError {
  return new EnvironmentError("TOOL_FAILED", message, options);
}

function interrupted(signal: AbortSignal | undefined): EnvironmentError {
  return new EnvironmentError("INTERRUPTED", "Interrupted", { cause: signal?.reason });
}

/** What a stream brings, up to a number of bytes; the rest is read and dropped. */
class Collected {
  readonly #text = new TextInParts();
  #room: number;

  /** @param stream there is none where there was no descriptor for it */
  constructor(stream: Readable | null | undefined, maxBytes: number, onOverflow = () => {}) {
    this.#room = maxBytes;
    stream?.on("data", (chunk: Buffer) => {
      if (chunk.length > this.#room) onOverflow();
      const kept = chunk.subarray(0, this.#room);
      this.#room -= kept.length;
      this.#text.add(kept);
    });
  }

  text(): string {
    return this.#text.whole();
  }
}
