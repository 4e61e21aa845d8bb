import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";

const execFileAsync = promisify(execFile);

export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** A network namespace without a name: it ends with its holder process, and with ours, kill -9 included. */
export interface NetworkNamespace extends AsyncDisposable {
  /** The holder's pid: `nsenter --net=/proc/PID/ns/net`. */
  readonly pid: number;
  /** Runs a command inside. @throws the error of `execFile`, with `stdout` and `stderr`, where it exits non-zero */
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
    async run(command, args, { input, signal } = {}) {
      const running = execFileAsync("nsenter", [`--net=/proc/${pid}/ns/net`, command, ...args], {
        maxBuffer: 1 << 30,
        ...(signal === undefined ? {} : { signal }),
      });
      running.child.stdin?.on("error", () => {}); // the command may exit without reading its input
      running.child.stdin?.end(input ?? "");
      return running;
    },
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await exited;
    },
  };
}
