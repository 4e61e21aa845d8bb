import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, ftruncateSync } from "node:fs";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { EnvironmentError } from "@svcproxy/topology";
import { toolCommand } from "../machine/host-root.ts";
import { hold, isOver, openOutputFile, readText } from "./open-process.ts";
import { EndedTool } from "./run-tool.ts";

/** A tool that is started once, and then takes one line after the other. */
export interface KeptTool extends AsyncDisposable {
  /**
   * @param line without its end; at most `MAX_LINE_BYTES`
   * @returns undefined where there can be no such tool: nothing was done
   * @throws EndedTool, and EnvironmentError TOOL_FAILED after which nobody knows how much was done
   */
  ask(line: string): Promise<ToolAnswer | undefined>;
}

export interface ToolAnswer {
  readonly stdout: string;
  readonly stderr: string;
}

export interface KeptToolOptions {
  readonly tool: string;
  readonly args: readonly string[];
  /** What stands before the tool, to run it elsewhere. */
  readonly before?: readonly string[];
  /** Stays open in it. */
  readonly heldFd?: number | undefined;
  /** Called with its pid each time that it is about to do something. */
  readonly onWork?: ((pid: number) => void) | undefined;
  /** A line with this number in it, of which the tool says on stderr that it understands nothing: so the answer before it is whole. */
  readonly endMark: (number: number) => string;
  /** Where in what it said the answer to that line begins; -1: it has not come in whole yet. */
  readonly findEnd: (stderr: string, endMark: string) => number;
}

/** What goes out at once: a tool whose caller is killed never gets the first half of a line. */
export const MAX_LINE_BYTES = 32 << 10;
/** Interactive programs keep what they were told: after so much they begin anew. */
const RENEWAL_BYTES = 4 << 20;
const MAX_ERROR_BYTES = 64 << 10;
const MAX_OUTPUT_BYTES = 1 << 30;
const TIMEOUT_MS = 120_000;
/** So long it may take to end. */
const END_MS = 5_000;

/** To start a program costs more than most small changes that it is started for. It ends with us. */
export class LivingTool implements KeptTool {
  readonly #options: KeptToolOptions;
  #open: OpenTool | undefined;
  #lastTurn: Promise<unknown> = Promise.resolve();
  #number = 0;
  #isUnusable = false;

  constructor(options: KeptToolOptions) {
    this.#options = options;
  }

  ask(line: string): Promise<ToolAnswer | undefined> {
    const turn = this.#lastTurn.then(() => this.#ask(line));
    this.#lastTurn = turn.catch(() => {});
    return turn;
  }

  async #ask(line: string): Promise<ToolAnswer | undefined> {
    if (Buffer.byteLength(line) > MAX_LINE_BYTES || /[\n\r\t\0]/.test(line)) return undefined;
    const open = await this.#opened();
    if (open === undefined) return undefined;
    return this.#answerOf(open, line);
  }

  /** Open, and known to answer. */
  async #opened(): Promise<OpenTool | undefined> {
    if (this.#isUnusable) return undefined;
    if (this.#open !== undefined && (isOver(this.#open.child) || this.#open.toldBytes > RENEWAL_BYTES)) {
      await this.#close();
    }
    if (this.#open !== undefined) return this.#open;
    try {
      this.#open = await start(this.#options);
      await this.#answerOf(this.#open, "");
      return this.#open;
    } catch (error) {
      if (!(error instanceof EnvironmentError) && !isSystemError(error)) throw error;
      // It is not there, or was built without it.
      this.#isUnusable = true;
      await this.#close();
      return undefined;
    }
  }

  async #answerOf(open: OpenTool, line: string): Promise<ToolAnswer> {
    const { tool, onWork, endMark, findEnd } = this.#options;
    const { child, stdout } = open;
    const mark = endMark(++this.#number);
    const text = line === "" ? `${mark}\n` : `${line}\n${mark}\n`;
    const { promise, resolve, reject } = Promise.withResolvers<ToolAnswer>();
    let said = "";
    const listen = (chunk: string) => {
      said += chunk;
      if (said.length > 2 * MAX_ERROR_BYTES) said = said.slice(0, MAX_ERROR_BYTES) + said.slice(-MAX_ERROR_BYTES);
      const end = findEnd(said, mark);
      if (end >= 0) resolve({ stdout: readText(stdout, MAX_OUTPUT_BYTES), stderr: said.slice(0, end) });
    };
    const ended = (_code: number | null, signal: NodeJS.Signals | null) =>
      reject(
        signal === null
          ? new EnvironmentError("TOOL_FAILED", `${tool} ended, and may not have done what it was told`)
          : new EndedTool(tool, signal),
      );
    const late = () =>
      reject(new EnvironmentError("TOOL_FAILED", `${tool} did not answer within ${TIMEOUT_MS / 1000} s`));
    const timer = setTimeout(late, TIMEOUT_MS);
    hold(child, true);
    child.stderr?.on("data", listen);
    child.once("exit", ended);
    if (child.pid !== undefined) onWork?.(child.pid);
    open.toldBytes += text.length;
    child.stdin?.write(text);
    try {
      return await promise;
    } catch (error) {
      if (!isOver(child)) child.kill("SIGKILL");
      throw error;
    } finally {
      clearTimeout(timer);
      child.stderr?.off("data", listen);
      child.off("exit", ended);
      hold(child, false);
      ftruncateSync(stdout);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isUnusable = true;
    await this.#lastTurn;
    await this.#close();
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined) return;
    const { child, stdout } = open;
    if (!isOver(child)) {
      hold(child, true);
      const over = once(child, "exit");
      child.stdin?.end();
      await Promise.race([over, delay(END_MS, undefined, { ref: false })]);
      if (!isOver(child)) child.kill("SIGKILL");
    }
    closeSync(stdout);
  }
}

interface OpenTool {
  readonly child: ChildProcess;
  /** The file that it prints to. */
  readonly stdout: number;
  toldBytes: number;
}

async function start({ tool, args, before = [], heldFd }: KeptToolOptions): Promise<OpenTool> {
  const command = toolCommand(tool);
  const [program = tool, ...rest] = [...before, command.program, ...command.before, ...args];
  const stdout = openOutputFile();
  try {
    const child = spawn(program, rest, {
      stdio: ["pipe", stdout, "pipe", ...(heldFd === undefined ? [] : [heldFd])],
      // Nowhere to keep a history of what it was told.
      env: { ...process.env, LC_ALL: "C", HOME: "/dev/null", TERM: "dumb" },
      // A Ctrl-C is for us.
      detached: true,
    });
    child.stdin?.on("error", () => {}); // it may have been killed
    child.stderr?.setEncoding("utf8");
    await once(child, "spawn");
    hold(child, false);
    return { child, stdout, toldBytes: 0 };
  } catch (error) {
    closeSync(stdout);
    throw error;
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && "syscall" in error;
}
