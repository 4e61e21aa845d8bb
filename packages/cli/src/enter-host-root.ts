import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, readlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import type { CommandContext, ExitCode } from "./command-context.ts";
import { ownProgram } from "./this-program.ts";

/** Where `kubectl debug node/…` mounts the node's file system. */
const HOST_ROOT = "/host";
/** Set in what was started inside. */
const INSIDE = "SVCPROXY_INSIDE_HOST_ROOT";

/**
 * Runs the same command line inside the node's own file system, where it is mounted as `kubectl debug node/…` does: there are its tools, its
 * `/proc` and its locks. This program and its files are reached there by the node's `/proc`.
 *
 * @returns how it ended; undefined: this is no such container
 */
export async function runInHostRoot({ signal }: CommandContext): Promise<ExitCode | undefined> {
  if (process.env[INSIDE] !== undefined || process.getuid?.() !== 0) return undefined;
  const pid = ownPidThere();
  if (pid === undefined || !existsSync(join(HOST_ROOT, "usr"))) return undefined;
  const [program, ...before] = ownProgram();
  const own = `/proc/${pid}/exe`;
  // What comes before the command line names files of this container, behind a link whose text leads elsewhere.
  const files = before.map((arg) => (arg.startsWith("/") ? `/proc/${pid}/root${arg}` : arg));
  const args = before.length === 0 ? [] : ["--preserve-symlinks", "--preserve-symlinks-main", ...files];
  const command = [...chroot(), HOST_ROOT, own, ...args, ...process.argv.slice(2)];
  const [first = program, ...rest] = command;
  const child = spawn(first, rest, {
    stdio: "inherit",
    env: { ...process.env, [INSIDE]: `/proc/${pid}`, PATH: HOST_PATH, SVCPROXY_HOST_ROOT: "" },
  });
  signal.addEventListener("abort", () => child.kill("SIGTERM"), { once: true });
  const [code]: readonly unknown[] = await once(child, "exit");
  return typeof code === "number" ? code : 1;
}

/** Files that the command line names are those of the container from which it came. */
export function enterCallersFolder(): void {
  const caller = process.env[INSIDE];
  if (caller !== undefined) process.chdir(`${caller}/cwd`);
}

const HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** By the node's own procfs, which counts processes as the node does. */
function ownPidThere(): number | undefined {
  try {
    const pid = Number(readlinkSync(join(HOST_ROOT, "proc/self")));
    return Number.isInteger(pid) && existsSync(join(HOST_ROOT, `proc/${pid}/exe`)) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** The container's chroot, or the node's, which needs the node's libraries. */
function chroot(): readonly string[] {
  const folders = (process.env["PATH"] ?? HOST_PATH).split(delimiter);
  const own = folders.map((folder) => join(folder, "chroot")).find((path) => existsSync(path));
  if (own !== undefined) return [own];
  const [loader] = globSync(["lib64/ld-linux*.so.*", "lib/ld-linux*.so.*", "usr/lib64/ld-linux*.so.*"], {
    cwd: HOST_ROOT,
  });
  const path = HOST_PATH.split(delimiter)
    .map((folder) => join(HOST_ROOT, folder, "chroot"))
    .find((file) => existsSync(file));
  if (loader === undefined || path === undefined) return ["chroot"];
  const libraries = globSync(["lib*", "usr/lib*", "lib/*-linux-gnu", "usr/lib/*-linux-gnu"], { cwd: HOST_ROOT });
  return [
    join(HOST_ROOT, loader),
    "--library-path",
    libraries.map((folder) => join(HOST_ROOT, folder)).join(":"),
    path,
  ];
}
