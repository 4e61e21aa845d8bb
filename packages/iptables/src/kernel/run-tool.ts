import { spawn } from "node:child_process";
import process from "node:process";
import { EnvironmentError } from "@svcproxy/topology";

/** Most that a tool may print: the rules of some 100,000 services. */
const MAX_OUTPUT_BYTES = 1 << 30;

/** Most of a tool's stderr that an error quotes. */
const MAX_ERROR_BYTES = 16 << 10;

/** A tool that does not end by then hangs. Loading 10,000 services takes a few seconds. */
const TIMEOUT_MS = 120_000;

export interface ToolOutput {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ToolOptions {
  readonly input?: string;
  readonly signal?: AbortSignal;
  /** A file descriptor that stays open in the tool as long as it runs. */
  readonly heldFd?: number | undefined;
}

export type ToolRunner = (tool: string, args: readonly string[], options?: ToolOptions) => Promise<ToolOutput>;

/** That a program is not on this machine. */
export class MissingTool extends EnvironmentError {
  readonly tool: string;

  constructor(tool: string, hint: string) {
    super("MISSING_TOOL", `Cannot run ${tool}: it is not on this machine`, { hint });
    this.tool = tool;
  }
}

/**
 * Runs a program that PATH leads to, to its end, without a shell, in the C locale, with bounds on time and output.
 *
 * @throws MissingTool
 * @throws EnvironmentError TOOL_FAILED where it had to be stopped
 */
export async function runTool(tool: string, args: readonly string[], options: ToolOptions = {}): Promise<ToolOutput> {
  const { input = "", signal, heldFd } = options;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const child = spawn(tool, args, {
    stdio: ["pipe", "pipe", "pipe", ...(heldFd === undefined ? [] : [heldFd])],
    env: { ...process.env, LC_ALL: "C" },
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    killSignal: "SIGKILL",
    // A session of its own: a Ctrl-C is for us, and must not end a program that is about to commit.
    detached: true,
  });
  const stdout = collect(child.stdout, MAX_OUTPUT_BYTES, () => child.kill("SIGKILL"));
  const stderr = collect(child.stderr, MAX_ERROR_BYTES, () => {});
  // A tool may end without reading its input.
  child.stdin?.on("error", () => {});
  child.stdin?.end(input);
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  }).catch((error: unknown) => {
    throw startFailure(tool, error, { signal, timeout });
  });
  if (exitCode === null) throw new EnvironmentError("TOOL_FAILED", `${tool} was stopped before it was done`);
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
}

function startFailure(
  tool: string,
  error: unknown,
  { signal, timeout }: { signal: AbortSignal | undefined; timeout: AbortSignal },
): unknown {
  if (signal?.aborted) return new EnvironmentError("INTERRUPTED", "Interrupted", { cause: error });
  if (timeout.aborted)
    return new EnvironmentError("TOOL_FAILED", `${tool} did not end within ${TIMEOUT_MS / 1000} s`, { cause: error });
  if (!(error instanceof Error) || !("code" in error)) return error;
  // A program that nobody may run is as good as none.
  if (error.code === "ENOENT" || error.code === "EACCES") return new MissingTool(tool, missingHint(tool));
  return new EnvironmentError("TOOL_FAILED", `Cannot run ${tool}: ${error.message}`, { cause: error });
}

function missingHint(tool: string): string {
  const name = tool.startsWith("ip") && tool.includes("tables") ? "iptables" : tool === "ip" ? "iproute2" : tool;
  return `Install it, on Debian or Ubuntu with: apt-get install ${name} (PATH must lead to it, often by /usr/sbin)`;
}

interface Collected {
  text(): string;
}

function collect(stream: NodeJS.ReadableStream | null, limit: number, onOverflow: () => void): Collected {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > limit) onOverflow();
    else chunks.push(chunk);
  });
  return { text: () => Buffer.concat(chunks).toString("utf8") };
}
