import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, ftruncateSync } from "node:fs";
import { Socket } from "node:net";
import { constants as os } from "node:os";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { EnvironmentError } from "@svcproxy/topology";
import { toolCommand } from "../machine/host-root.ts";
import { type KeptTool, type KeptToolOptions, LivingTool } from "./kept-tool.ts";
import { hold, isOver, openOutputFile, readText } from "./open-process.ts";
import { EndedTool, MissingTool, runTool, type ToolOptions, type ToolOutput, type ToolRunner } from "./run-tool.ts";

/** Starts tools, one after the other, for a process whose own starts take long. */
export interface ToolStarter extends AsyncDisposable {
  readonly run: ToolRunner;
  /** A tool that lives on, to be disposed of before this one; absent: none can. */
  readonly keep?: (options: Omit<KeptToolOptions, "heldFd" | "before">) => KeptTool;
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
  #shell: OpenShell | undefined;
  /** Ends with the tool that runs. */
  #running: Promise<unknown> | undefined;

  constructor({ command = ["sh"], fallback = runTool, heldFd }: ToolShellOptions = {}) {
    this.#options = { command, fallback, heldFd };
  }

  /** As `runTool`, which stands in wherever the shell cannot. */
  readonly run: ToolRunner = async (tool, args, options = {}) => {
    const { fallback, heldFd } = this.#options;
    const { input = "", env, reserve, signal } = options;
    const isPlain = env === undefined && reserve === undefined && (options.heldFd ?? heldFd) === heldFd;
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
      const shell = await this.#openShell();
      return await (shell === undefined ? direct() : runHeld(shell, { tool, args, options }));
    } finally {
      this.#running = undefined;
      done.resolve();
    }
  };

  readonly keep = (options: Omit<KeptToolOptions, "heldFd" | "before">): KeptTool => {
    const { command, heldFd } = this.#options;
    return new LivingTool({ ...options, heldFd, before: command.slice(0, -1) });
  };

  async [Symbol.asyncDispose](): Promise<void> {
    // What runs lets go of the shell when it is done: nothing would then keep us from ending before the shell has.
    while (this.#running !== undefined) await this.#running;
    const shell = this.#shell;
    this.#shell = undefined;
    if (shell === undefined) return;
    const { child } = shell;
    if (!isOver(child)) {
      hold(child, true);
      const over = once(child, "exit");
      child.stdin?.end();
      await Promise.race([over, delay(END_MS, undefined, { ref: false })]);
    }
    closeFiles(shell);
  }

  /** @returns undefined where there can be none */
  async #openShell(): Promise<OpenShell | undefined> {
    if (this.#shell !== undefined) {
      if (!isOver(this.#shell.child)) return this.#shell;
      closeFiles(this.#shell);
      this.#shell = undefined;
    }
    const { command, heldFd } = this.#options;
    const [program, ...args] = command;
    const files: number[] = [];
    try {
      const [stdout, stderr] = [openOutputFile(), openOutputFile()];
      files.push(stdout, stderr);
      const child = spawn(program, args, {
        stdio: ["pipe", stdout, stderr, "pipe", ...(heldFd === undefined ? [] : [heldFd])],
        env: { ...process.env, LC_ALL: "C" },
        // As `runTool` does it: a Ctrl-C is for us.
        detached: true,
      });
      child.stdin?.on("error", () => {}); // it may have been killed
      await once(child, "spawn");
      hold(child, false);
      this.#shell = { child, stdout, stderr };
      return this.#shell;
    } catch {
      for (const fd of files) closeSync(fd);
      return undefined;
    }
  }
}

/** A shell, and the files that its tools print to: nft writes each word by itself, which a pipe's reader would have to run for. */
interface OpenShell {
  readonly child: ChildProcess;
  readonly stdout: number;
  readonly stderr: number;
}

function closeFiles({ stdout, stderr }: OpenShell): void {
  for (const fd of [stdout, stderr]) closeSync(fd);
}

async function runHeld(shell: OpenShell, run: ShellRun): Promise<ToolOutput> {
  hold(shell.child, true);
  try {
    return await runIn(shell, run);
  } catch (error) {
    if (!(error instanceof MissingTool) && !(error instanceof EndedTool)) await end(shell.child);
    throw error;
  } finally {
    hold(shell.child, false);
  }
}

interface ShellRun {
  readonly tool: string;
  readonly args: readonly string[];
  readonly options: ToolOptions;
}

/** @throws MissingTool, EndedTool, and EnvironmentError TOOL_FAILED or INTERRUPTED after which the shell is of no use */
function runIn({ child, stdout, stderr }: OpenShell, { tool, args, options }: ShellRun): Promise<ToolOutput> {
  const { timeoutMs = TIMEOUT_MS, signal, called = tool, onStarted } = options;
  const { maxOutputBytes = MAX_OUTPUT_BYTES, maxErrorBytes = MAX_ERROR_BYTES } = options;
  const { promise, resolve, reject } = Promise.withResolvers<ToolOutput>();
  const fail = (why: string) => reject(new EnvironmentError("TOOL_FAILED", `${called} ${why}`));
  let said = "";
  const listen = (chunk: Buffer) => {
    const wasStarted = said.includes("\n");
    said += chunk.toString("latin1");
    const [pid, exitText, rest] = said.split("\n");
    if (!wasStarted && exitText !== undefined) onStarted?.(Number(pid));
    if (rest === undefined) return;
    const exitCode = Number(exitText);
    const by = signalOf(exitCode);
    if (exitCode === NOT_FOUND || exitCode === NOT_RUNNABLE) reject(new MissingTool(tool));
    else if (by === "SIGXFSZ") fail(`was stopped: it printed more than ${maxOutputBytes} bytes`);
    else if (by !== undefined) reject(new EndedTool(called, by));
    else resolve({ exitCode, stdout: readText(stdout, maxOutputBytes), stderr: readText(stderr, maxErrorBytes) });
  };
  const ended = () => fail("may not have been run to its end: the shell that starts it was ended");
  const interrupt = () => reject(new EnvironmentError("INTERRUPTED", "Interrupted", { cause: signal?.reason }));
  const late = () => fail(`did not end within ${timeoutMs / 1000} s`);
  const timer = timeoutMs === Number.POSITIVE_INFINITY ? undefined : setTimeout(late, timeoutMs);
  const control = child.stdio[CONTROL];
  if (control instanceof Socket) control.on("data", listen);
  child.once("exit", ended);
  signal?.addEventListener("abort", interrupt, { once: true });
  child.stdin?.write(scriptOf({ tool, args, input: options.input ?? "", maxOutputBytes }));
  return promise.finally(() => {
    clearTimeout(timer);
    if (control instanceof Socket) control.off("data", listen);
    child.off("exit", ended);
    signal?.removeEventListener("abort", interrupt);
    // What was printed takes up memory.
    for (const fd of [stdout, stderr]) ftruncateSync(fd);
  });
}

/** Where the shell tells the tool's pid, and then its exit code. */
const CONTROL = 3;

/** What a shell says of a tool that it does not find, or may not run. */
const NOT_FOUND = 127;
const NOT_RUNNABLE = 126;

/** In units of `ulimit -f`. */
const BLOCK_BYTES = 512;

/** In braces, so that a shell which gets no more than a part of it does nothing. */
function scriptOf({
  tool,
  args,
  input,
  maxOutputBytes,
}: Pick<ShellRun, "tool" | "args"> & { readonly input: string; readonly maxOutputBytes: number }): string {
  const { program, before } = toolCommand(tool);
  const command = [program, ...before, ...args].map(quote).join(" ");
  const end = `end-${randomUUID()}`;
  const [from, here] =
    input === "" ? ["</dev/null", ""] : [`<<'${end}'`, `${input}${input.endsWith("\n") ? "" : "\n"}${end}\n`];
  return `{
{ ulimit -f ${Math.ceil(maxOutputBytes / BLOCK_BYTES)}; exec ${command}; } ${from} &
${here}echo "$!" >&${CONTROL}
wait "$!"
echo "$?" >&${CONTROL}
}
`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function signalOf(exitCode: number): string | undefined {
  return Object.entries(os.signals).find(([, number]) => exitCode === 128 + number)?.[0];
}

/** With the tool that it runs, which has the way to us open until it is over too. */
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
