import { spawn } from "node:child_process";
import { once } from "node:events";
import { runTool, type ToolOutput } from "@svcproxy/host";

export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** Whole: a test looks for words in it. */
const MAX_ERROR_BYTES = 16 << 20;

/** That a command in a namespace exited with another code than 0. */
export class CommandFailed extends Error {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;

  constructor(command: string, { exitCode, stdout, stderr }: ToolOutput) {
    super(`Command failed (exit code ${exitCode}): ${command}\n${stderr}`);
    this.name = "CommandFailed";
    this.code = exitCode;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

/** A network namespace without a name: it ends with its holder process, and with ours, kill -9 included. */
export interface NetworkNamespace extends AsyncDisposable {
  /** The holder's pid: `nsenter --net=/proc/PID/ns/net`. */
  readonly pid: number;
  /** Runs a command inside. @throws CommandFailed where it exits non-zero */
  run(
    command: string,
    args: readonly string[],
    options?: { readonly input?: string; readonly signal?: AbortSignal },
  ): Promise<CommandOutput>;
}

/** Makes a fresh network namespace with its loopback up. Needs root. */
export async function createNetworkNamespace(): Promise<NetworkNamespace> {
  // `read` blocks until our end of the pipe closes, so the holder cannot outlive this process.
  const holder = spawn("unshare", ["--net", "sh", "-c", "ip link set lo up && echo ready && read _"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(holder, "exit");
  await Promise.race([
    once(holder.stdout, "data"),
    exited.then(([code]) => Promise.reject(new Error(`unshare --net exited with ${code}`))),
  ]);
  const pid = holder.pid;
  if (pid === undefined) throw new Error("unshare has no pid");
  return {
    pid,
    async run(command, args, options = {}) {
      const output = await runTool("nsenter", [`--net=/proc/${pid}/ns/net`, command, ...args], {
        ...options,
        timeoutMs: Number.POSITIVE_INFINITY,
        maxErrorBytes: MAX_ERROR_BYTES,
        called: `${command} in the namespace`,
      });
      if (output.exitCode !== 0) throw new CommandFailed([command, ...args].join(" "), output);
      return output;
    },
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await exited;
    },
  };
}
