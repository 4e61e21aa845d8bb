import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";

/** How one run of the `ip` command ended. */
export type IpOutcome =
  | { readonly kind: "done"; readonly stdout: string }
  | { readonly kind: "failed"; readonly stderr: string }
  /** There is no `ip` command on PATH. */
  | { readonly kind: "no-command" };

/** The two doors through which addresses, routes and sysctls of this network namespace are read and changed. */
export interface HostNetwork {
  /** Runs `ip` with these arguments; `input` is what a `-batch -` reads. */
  ip(args: readonly string[], input?: string): Promise<IpOutcome>;
  /** @returns undefined where the kernel has no such sysctl */
  readSysctl(name: string): Promise<string | undefined>;
  /** @returns whether the kernel took it */
  writeSysctl(name: string, value: string): Promise<boolean>;
}

/** The network namespace that this process is in. */
export const hostNetwork: HostNetwork = {
  ip: runIp,
  readSysctl: async (name) => {
    try {
      return (await readFile(sysctlPath(name), "utf8")).trim();
    } catch {
      return undefined;
    }
  },
  writeSysctl: async (name, value) => {
    try {
      await writeFile(sysctlPath(name), value);
      return true;
    } catch {
      return false; // read-only in most containers, or not ours to change
    }
  },
};

function sysctlPath(name: string): string {
  return `/proc/sys/${name.replaceAll(".", "/")}`;
}

function runIp(args: readonly string[], input = ""): Promise<IpOutcome> {
  return new Promise((resolve) => {
    const child = spawn("ip", args, { stdio: ["pipe", "pipe", "pipe"] });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.on("error", (error) => {
      const isMissing = "code" in error && error.code === "ENOENT";
      resolve(isMissing ? { kind: "no-command" } : { kind: "failed", stderr: `cannot start ip: ${error.message}` });
    });
    child.on("close", (code) => {
      if (code === 0) resolve({ kind: "done", stdout: Buffer.concat(stdout).toString() });
      else resolve({ kind: "failed", stderr: Buffer.concat(stderr).toString() });
    });
    // Without a descriptor to spare there are no pipes, whatever the types say; `error` follows.
    child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.stdin?.on("error", () => {}); // it may end before it has read its input
    child.stdin?.end(input);
  });
}
