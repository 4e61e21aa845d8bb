import { readFileSync } from "node:fs";
import { chmod, lstat, mkdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { EnvironmentError } from "@svcproxy/topology";
import { outOfDescriptors, systemCode, unlessSystem } from "../tools/system-error.ts";

/** Root's, through which others pass to what systemd has made there for a unit of theirs. */
const RUN_SVCPROXY = "/run/svcproxy";

export interface RuntimeDirectoryOptions {
  /** The one to use, instead of those that follow from the environment. */
  readonly wanted?: string | undefined;
  /** A folder in the one that follows from user and environment; what the service manager gives is one program's alone. */
  readonly below?: string;
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * Where programs of this user keep sockets, the likeliest place first: what the service manager gave this one; else root's below
 * /run, and others' below XDG_RUNTIME_DIR; else a folder in /tmp, for instance where /run is read-only.
 */
export function runtimeDirectories(options: RuntimeDirectoryOptions = {}): readonly string[] {
  const { wanted, below = "", environment = process.env } = options;
  const given = wanted ?? environment["RUNTIME_DIRECTORY"]?.split(":")[0] ?? "";
  if (given !== "") return [given];
  const uid = ownUid();
  const ofUser = environment["XDG_RUNTIME_DIR"] ?? "";
  return [
    ...(uid === 0 ? [RUN_SVCPROXY] : []),
    ...(ofUser.startsWith("/") ? [join(ofUser, "svcproxy")] : []),
    `/tmp/svcproxy-${uid === 0 ? uidOfRoot() : uid}`,
  ].map((path) => join(path, below));
}

/**
 * The first of `runtimeDirectories` that can be made and is ours.
 *
 * @throws EnvironmentError RUNTIME_DIRECTORY where there is none: it cannot be made, belongs to somebody else, or others may write to it
 */
export async function makeRuntimeDirectory(options: RuntimeDirectoryOptions = {}): Promise<string> {
  let failure: EnvironmentError | undefined;
  for (const path of runtimeDirectories(options)) {
    try {
      return await makeOurs(path);
    } catch (error) {
      if (!(error instanceof EnvironmentError) || error.code !== "RUNTIME_DIRECTORY") throw error;
      failure = error;
    }
  }
  throw failure ?? new TypeError("there is no runtime directory to try");
}

/**
 * The first of `runtimeDirectories` that is there: root may look into one that it gave to another user. Undefined: there is none.
 */
export async function findRuntimeDirectory(options: RuntimeDirectoryOptions = {}): Promise<string | undefined> {
  for (const path of runtimeDirectories(options)) {
    if ((await whyNotOurs(path)) === undefined || (await isGivenByRoot(path))) return path;
  }
  return undefined;
}

/**
 * A folder that nobody but this user, and root, can look into or write to.
 *
 * @throws EnvironmentError RUNTIME_DIRECTORY
 */
export async function makePrivateFolder(path: string): Promise<string> {
  await makeOurs(path);
  try {
    await chmod(path, 0o700);
    return path;
  } catch (cause) {
    throw unusable(path, cause);
  }
}

async function makeOurs(path: string): Promise<string> {
  try {
    await makeFolder(path);
    const reason = await whyNotOurs(path);
    if (reason === undefined) return path;
    throw new Error(reason);
  } catch (cause) {
    throw unusable(path, cause);
  }
}

/** With its parents. Node's own `recursive` never returns where a file system refuses new entries by ENOENT, as /proc does. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    const code = systemCode(error);
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await mkdir(path, 0o700).catch(unlessSystem("EEXIST")); // another svcproxy may be at it as well
  }
  if (path === RUN_SVCPROXY) await chmod(path, 0o755);
}

/** Whoever else can write to a folder can put a socket of theirs in the place of ours. */
async function whyNotOurs(path: string): Promise<string | undefined> {
  try {
    const link = await lstat(path);
    const isOurs = ({ uid }: { readonly uid: number }) => uid === ownUid() || uid === 0;
    if (!isOurs(link)) return `it belongs to another user (uid ${link.uid})`;
    const folder = link.isSymbolicLink() ? await stat(path) : link;
    if (!folder.isDirectory()) return "it is not a folder";
    if (!isOurs(folder)) return `it belongs to another user (uid ${folder.uid})`;
    return (folder.mode & 0o022) === 0 ? undefined : "others may write to it";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Where only root can make an entry, whoever owns it was given it. */
async function isGivenByRoot(path: string): Promise<boolean> {
  if (ownUid() !== 0) return false;
  try {
    const [folder, parent] = [await stat(path), await stat(dirname(path))];
    return folder.isDirectory() && parent.uid === 0 && (parent.mode & 0o022) === 0;
  } catch {
    return false;
  }
}

function unusable(path: string, cause: unknown): EnvironmentError {
  const doing = `Cannot use the runtime directory ${path}`;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return (
    outOfDescriptors(doing, cause) ??
    new EnvironmentError("RUNTIME_DIRECTORY", `${doing}: ${reason}`, {
      hint: "Name one that only this user can write to: RUNTIME_DIRECTORY=/path (svcproxy userspace: --runtime-dir /path)",
      cause,
    })
  );
}

/** Who root is outside of our user namespace: in one of their own everybody is. @see user_namespaces(7), uid_map */
function uidOfRoot(): string {
  try {
    return /^\s*0\s+(\d+)/m.exec(readFileSync("/proc/self/uid_map", "utf8"))?.[1] ?? "0";
  } catch {
    return "0";
  }
}

function ownUid(): number {
  return process.getuid?.() ?? 0;
}
