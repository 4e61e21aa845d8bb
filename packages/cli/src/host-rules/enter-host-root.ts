import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, lstatSync, readlinkSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { ownProgram, STARTED_BY } from "../command-line/this-program.ts";

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
  const inside = [...chroot(), HOST_ROOT] as const;
  const env = { ...process.env, [INSIDE]: `/proc/${pid}`, PATH: HOST_PATH, SVCPROXY_HOST_ROOT: "" };
  // A node need not have the libraries of this program; the container from which it came has them.
  const start = isStarted([...inside, own, "--version"], env) ? [own] : [...ownLoader(`/proc/${pid}/root`), own];
  const [first = program, ...rest] = [...inside, ...start, ...args, ...process.argv.slice(2)];
  const child = spawn(first, rest, { stdio: "inherit", env: { ...env, [STARTED_BY]: JSON.stringify(start) } });
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

function isStarted([program = "", ...args]: readonly string[], env: NodeJS.ProcessEnv): boolean {
  return spawnSync(program, args, { stdio: "ignore", env }).status === 0;
}

const LOADERS = ["lib64/ld-linux*.so.*", "lib/ld-linux*.so.*", "usr/lib64/ld-linux*.so.*"];
const LIBRARIES = ["lib*", "usr/lib*", "lib/*-linux-gnu", "usr/lib/*-linux-gnu"];

/**
 * What starts a program by the loader and the libraries of another root.
 *
 * @param root as whoever starts it sees it
 * @param from where this process sees it
 */
function loaderOf(root: string, from = root): readonly string[] | undefined {
  const [loader] = globSync(LOADERS, { cwd: from });
  if (loader === undefined) return undefined;
  const folders = globSync(LIBRARIES, { cwd: from }).map((folder) => join(root, folder));
  return [join(root, followLinks(from, loader)), "--library-path", folders.join(":")];
}

/** A link from the top of a root, as the loader is on Debian, leads elsewhere outside of it. */
function followLinks(root: string, path: string): string {
  for (let [links, at] = [0, path]; ; links++) {
    const file = join(root, at);
    if (links === MOST_LINKS || !lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) return at;
    const target = readlinkSync(file);
    at = target.startsWith("/") ? target : join(dirname(at), target);
  }
}

/** The kernel follows as many. */
const MOST_LINKS = 40;

/** @param root this container's, as the node sees it */
function ownLoader(root: string): readonly string[] {
  return loaderOf(root, "/") ?? [];
}

/** The container's chroot, or the node's, which needs the node's libraries. */
function chroot(): readonly string[] {
  const folders = (process.env["PATH"] ?? HOST_PATH).split(delimiter);
  const own = folders.map((folder) => join(folder, "chroot")).find((path) => existsSync(path));
  if (own !== undefined) return [own];
  const loader = loaderOf(HOST_ROOT);
  const path = HOST_PATH.split(delimiter)
    .map((folder) => join(HOST_ROOT, folder, "chroot"))
    .find((file) => existsSync(file));
  if (loader === undefined || path === undefined) return ["chroot"];
  return [...loader, path];
}
