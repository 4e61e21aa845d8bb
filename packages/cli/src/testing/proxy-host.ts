import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readlink, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { createNetworkNamespace, type NetworkNamespace } from "@svcproxy/lab";
import { inject } from "vitest";

/** How long something may take on a busy machine. */
const PATIENCE_MS = 45_000;

/** A host of its own for `svcproxy userspace`: a network namespace, a folder for its files, and programs in it that end with it. */
export class ProxyHost implements AsyncDisposable {
  readonly namespace: NetworkNamespace;
  readonly folder: string;
  readonly #running = new Set<HostProgram>();

  private constructor(namespace: NetworkNamespace, folder: string) {
    this.namespace = namespace;
    this.folder = folder;
  }

  static async create(): Promise<ProxyHost> {
    const folder = await mkdtemp(join(tmpdir(), "svcproxy-host-"));
    return new ProxyHost(await createNetworkNamespace(), folder);
  }

  /** Writes the topology (JSON is YAML) so that whoever reads it sees the old or the new one. @returns its path */
  async writeTopology(topology: unknown): Promise<string> {
    const path = join(this.folder, "topology.yaml");
    await writeFile(`${path}.new`, typeof topology === "string" ? topology : JSON.stringify(topology));
    await rename(`${path}.new`, path);
    return path;
  }

  /** Starts a program that goes on. */
  start(command: readonly string[], { prefix = [] }: { readonly prefix?: readonly string[] } = {}): HostProgram {
    const net = `--net=/proc/${this.namespace.pid}/ns/net`;
    const child = spawn("nsenter", [net, ...prefix, ...command], {
      stdio: ["ignore", "pipe", "pipe"],
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
    });
    const running = new HostProgram(child);
    this.#running.add(running);
    return running;
  }

  /** Starts a module of JavaScript text, which may import what the command line's package may. */
  startScript(text: string, ...args: readonly string[]): HostProgram {
    return this.start([process.execPath, "--input-type=module", "-e", text, "--", ...args]);
  }

  /** Starts svcproxy; `prefix` is a command that runs it with fewer rights. */
  svcproxy(args: readonly string[], prefix: readonly string[] = []): HostProgram {
    const runtime = args[0] === "userspace" ? ["--runtime-dir", join(this.folder, "run")] : [];
    // The namespace is bare: what the topology says of the host's addresses is not true of it.
    const foreign = args.includes("--host") && !args.includes("--print-unit") ? ["--foreign-host"] : [];
    return this.start([process.execPath, inject("program"), ...args, ...runtime, ...foreign], { prefix });
  }

  /** Runs a shell script to its end. @returns what it printed @throws where it fails */
  async shell(script: string): Promise<string> {
    return (await this.namespace.run("sh", ["-c", script])).stdout;
  }

  /** What those programs started and left: they have the same standard streams, and are in the namespace. */
  async #killSuccessors(): Promise<void> {
    const place = await readlink(`/proc/${this.namespace.pid}/ns/net`);
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && name !== String(this.namespace.pid));
    for (const pid of pids) {
      if ((await readlink(`/proc/${pid}/ns/net`).catch(() => "")) !== place) continue;
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // It ended meanwhile.
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#running) program.signal("SIGKILL");
    await this.#killSuccessors();
    await Promise.all([...this.#running].map((program) => program.end()));
    await this.namespace[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** A prefix for a program that is not to see other processes, and by them other network namespaces of this machine. */
export const ALONE: readonly string[] = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];

/** A program that was started on a host. */
export class HostProgram {
  stdout = "";
  stderr = "";
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.#closed = once(child, "close");
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("the program did not start");
    return this.#child.pid;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** @returns the exit code, or the signal's name */
  async end(): Promise<number | string> {
    await this.#closed;
    return this.#child.exitCode ?? this.#child.signalCode ?? "?";
  }

  async kill(signal: NodeJS.Signals): Promise<number | string> {
    this.signal(signal);
    return this.end();
  }

  /** Waits for a line of its log (JSON) or output. @throws with all that it wrote, where it does not come */
  async says(text: string, patienceMs = PATIENCE_MS): Promise<void> {
    await until(
      async () => this.stderr.includes(text) || this.stdout.includes(text),
      () => `it never said ${JSON.stringify(text)}, but:\n${this.stderr}${this.stdout}`,
      patienceMs,
    );
  }

  /** Waits until the proxy has applied `plans` plans. */
  async serves(plans = 1): Promise<void> {
    await until(
      async () => this.stderr.split('"msg":"serving ').length > plans,
      () => `it does not serve:\n${this.stderr}`,
    );
  }
}

/** Asks again until it is so. @throws Error with `otherwise` */
export async function until(
  isSo: () => Promise<boolean>,
  otherwise: () => string,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const begunMs = performance.now();
    if (await isSo()) return;
    if (Date.now() > deadline) throw new Error(otherwise());
    // Who asks by starting a program leaves as much time to those whom it asks about.
    const pauseMs = Math.max(25, performance.now() - begunMs);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
