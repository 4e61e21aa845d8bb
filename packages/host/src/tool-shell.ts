import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { Socket } from "node:net";
import { constants } from "node:os";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { EnvironmentError } from "@svcproxy/topology";
import { EndedTool, MissingTool, runTool, type ToolOptions, type ToolOutput, type ToolRunner } from "./run-tool.ts";

/** Starts tools, one after the other, for a process whose own starts take long. */
export interface ToolStarter extends AsyncDisposable {
  readonly run: ToolRunner;
}

export interface ToolShellOptions {
  /** Stays open in every tool. */
  readonly heldFd?: number | undefined;
  /** The shell, or a program that runs it elsewhere. */
  readonly command?: readonly [string, ...string[]];
  /** For what the shell is not for; default `runTool`. */
  readonly fallback?: ToolRunner;
}

/** What fits into a pipe at once: a shell whose caller is killed never runs the first half of something. */
const MAX_INPUT_BYTES = 32 << 10;
/** Of a listing of some 100,000 services. */
const MAX_OUTPUT_BYTES = 1 << 30;
const MAX_ERROR_BYTES = 16 << 10;
const TIMEOUT_MS = 120_000;
/** So long a tool waits for the one before it; a large listing takes longer. */
const WAIT_MS = 300;
/** So long a shell and its tool may take to end: what a tool that is killed asked of the kernel may still go in. */
const END_MS = 5_000;

/**
 * A shell that starts tools for us. Starting a program makes the kernel copy the page tables of who starts it: 20 ms at 300 MB, and
 * the shell is small. It takes one tool after the other, with an input of few lines; what would wait for long, or is larger, is started in
 * the ordinary way. It begins with the first tool, and ends with us.
 */
export class ToolShell implements ToolStarter {
  readonly #options: Required<Pick<ToolShellOptions, "command" | "fallback">> & Pick<ToolShellOptions, "heldFd">;
  readonly #mark = `end-${randomUUID()}`;
  #child: ChildProcess | undefined;
  /** Ends with the tool that runs. */
  #running: Promise<unknown> | undefined;

  constructor({ command = ["sh"], fallback = runTool, heldFd }: ToolShellOptions = {}) {
    this.#options = { command, fallback, heldFd };
  }

  /** As `runTool`, which stands in wherever the shell cannot. */
  readonly run: ToolRunner = async (tool, args, options = {}) => {
    const { fallback, heldFd } = this.#options;
    const { input = "", env, reserve, signal } = options;
    const isPlain = env === undefined && reserve === undefined && options.heldFd === undefined;
    const isSmall = Buffer.byteLength(input) + Buffer.byteLength(args.join(" ")) <= MAX_INPUT_BYTES;
    const direct = () => fallback(tool, args, { heldFd, ...options });
    if (!isPlain || !isSmall) return direct();
    const untilMs = performance.now() + WAIT_MS;
    for (let leftMs = WAIT_MS; this.#running !== undefined; leftMs = untilMs - performance.now()) {
      if (leftMs <= 0) return direct();
      await Promise.race([this.#running, delay(leftMs, undefined, { ref: false })]);
    }
    if (signal?.aborted === true) return direct();
    const done = Promise.withResolvers<void>();
    this.#running = done.promise;
    try {
      const child = await this.#openShell();
      return await (child === undefined ? direct() : this.#runHeld(child, { tool, args, options }));
    } finally {
      this.#running = undefined;
      done.resolve();
    }
  };

  async #runHeld(child: ChildProcess, run: Omit<ShellRun, "mark">): Promise<ToolOutput> {
    hold(child, true);
    try {
      return await runIn(child, { ...run, mark: this.#mark });
    } catch (error) {
      if (!(error instanceof MissingTool) && !(error instanceof EndedTool)) await end(child);
      throw error;
    } finally {
      hold(child, false);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || isOver(child)) return;
    hold(child, true);
    const over = once(child, "exit");
    child.stdin?.end();
    await Promise.race([over, delay(END_MS, undefined, { ref: false })]);
  }

  /** @returns undefined where there can be none */
  async #openShell(): Promise<ChildProcess | undefined> {
    if (this.#child !== undefined && !isOver(this.#child)) return this.#child;
    const { command, heldFd } = this.#options;
    const [program, ...args] = command;
    try {
      const child = spawn(program, args, {
        stdio: ["pipe", "pipe", "pipe", "pipe", ...(heldFd === undefined ? [] : [heldFd])],
        env: { ...process.env, LC_ALL: "C" },
        // As `runTool` does it: a Ctrl-C is for us.
        detached: true,
      });
      child.stdin?.on("error", () => {}); // it may have been killed
      await once(child, "spawn");
      hold(child, false);
      this.#child = child;
      return child;
    } catch {
      return undefined;
    }
  }
}

interface ShellRun {
  readonly tool: string;
  readonly args: readonly string[];
  readonly options: ToolOptions;
  /** What stands behind all that the tool prints. */
  readonly mark: string;
}

/** @throws MissingTool, EndedTool, and EnvironmentError TOOL_FAILED or INTERRUPTED after which the shell is of no use */
function runIn(child: ChildProcess, { tool, args, options, mark }: ShellRun): Promise<ToolOutput> {
  const { timeoutMs = TIMEOUT_MS, signal, called = tool, onStarted } = options;
  const { maxOutputBytes = MAX_OUTPUT_BYTES, maxErrorBytes = MAX_ERROR_BYTES } = options;
  const listeners = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<ToolOutput>();
  const fail = (why: string) => reject(new EnvironmentError("TOOL_FAILED", `${called} ${why}`));
  const [stdout, stderr] = [new MarkedText(mark, maxOutputBytes), new MarkedText(mark, maxErrorBytes)];
  let said = "";
  const settle = () => {
    const [, exitText] = said.split("\n");
    if (said.split("\n").length < 3 || !stdout.isWhole || !stderr.isWhole) return;
    const exitCode = Number(exitText);
    const output = { exitCode, stdout: stdout.text(), stderr: stderr.text() };
    const by = signalOf(exitCode);
    if (exitCode === NOT_FOUND || exitCode === NOT_RUNNABLE) reject(new MissingTool(tool));
    else if (by !== undefined) reject(new EndedTool(called, by));
    else resolve(output);
  };
  const listen = (stream: unknown, take: (chunk: Buffer) => void) => {
    if (!(stream instanceof Socket)) return;
    const onData = (chunk: Buffer) => {
      take(chunk);
      settle();
    };
    stream.on("data", onData);
    listeners.signal.addEventListener("abort", () => stream.off("data", onData));
  };
  listen(child.stdout, (chunk) => {
    stdout.add(chunk);
    if (stdout.isOverfull) fail(`was stopped: it printed more than ${maxOutputBytes} bytes`);
  });
  listen(child.stderr, (chunk) => stderr.add(chunk));
  listen(child.stdio[CONTROL], (chunk) => {
    const isFirst = !said.includes("\n");
    said += chunk.toString("latin1");
    if (isFirst && said.includes("\n")) onStarted?.(Number.parseInt(said, 10));
  });
  const ended = () => fail("may not have been run to its end: the shell that starts it was ended");
  const interrupt = () => reject(new EnvironmentError("INTERRUPTED", "Interrupted", { cause: signal?.reason }));
  const late = () => fail(`did not end within ${timeoutMs / 1000} s`);
  const timer = timeoutMs === Number.POSITIVE_INFINITY ? undefined : setTimeout(late, timeoutMs);
  child.once("exit", ended);
  signal?.addEventListener("abort", interrupt, { once: true });
  child.stdin?.write(scriptOf({ tool, args, input: options.input ?? "", mark }));
  return promise.finally(() => {
    clearTimeout(timer);
    child.off("exit", ended);
    signal?.removeEventListener("abort", interrupt);
    listeners.abort();
  });
}

/** Where the shell tells the tool's pid, and then its exit code. */
const CONTROL = 3;

/** What a shell says of a tool that it does not find, or may not run. */
const NOT_FOUND = 127;
const NOT_RUNNABLE = 126;

/** In braces, so that a shell which gets no more than a part of it does nothing. */
function scriptOf({ tool, args, input, mark }: Pick<ShellRun, "tool" | "args" | "mark"> & { input: string }): string {
  const command = [tool, ...args].map(quote).join(" ");
  const [from, here] =
    input === "" ? ["</dev/null", ""] : [`<<'${mark}'`, `${input}${input.endsWith("\n") ? "" : "\n"}${mark}\n`];
  return `{
${command} ${CONTROL}>&- ${from} &
${here}echo "$!" >&${CONTROL}
wait "$!"
echo "$?" >&${CONTROL}
echo '${mark}'
echo '${mark}' >&2
}
`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Text up to a mark at its end, and no more of it than there is room for. */
class MarkedText {
  readonly #mark: string;
  readonly #maxBytes: number;
  readonly #chunks: Buffer[] = [];
  #room: number;
  #end = "";
  isOverfull = false;

  constructor(mark: string, maxBytes: number) {
    this.#mark = `${mark}\n`;
    this.#maxBytes = maxBytes;
    this.#room = maxBytes + this.#mark.length;
  }

  add(chunk: Buffer): void {
    this.#end = (this.#end + chunk.subarray(-this.#mark.length).toString("latin1")).slice(-this.#mark.length);
    if (chunk.length > this.#room) this.isOverfull = true;
    const kept = chunk.subarray(0, this.#room);
    this.#room -= kept.length;
    this.#chunks.push(kept);
  }

  get isWhole(): boolean {
    return this.#end === this.#mark;
  }

  text(): string {
    const bytes = Buffer.concat(this.#chunks);
    return bytes.subarray(0, this.isOverfull ? this.#maxBytes : -this.#mark.length).toString("utf8");
  }
}

function signalOf(exitCode: number): string | undefined {
  return Object.entries(constants.signals).find(([, number]) => exitCode === 128 + number)?.[0];
}

function isOver({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** With the tool that it runs, whose streams are closed when it is over too. */
async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || isOver(child)) return;
  const over = once(child, "close");
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    return; // it is over already
  }
  await Promise.race([over, delay(END_MS, undefined, { ref: false })]);
}

/** Whether a shell keeps us from ending: only while it runs something. */
function hold(child: ChildProcess, isHeld: boolean): void {
  if (isHeld) child.ref();
  else child.unref();
  for (const stream of child.stdio) {
    if (!(stream instanceof Socket)) continue;
    if (isHeld) stream.ref();
    else stream.unref();
  }
}
