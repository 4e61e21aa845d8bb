import { mkdir, readlink, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { EnvironmentError, inputError } from "@svcproxy/topology";
import type { InstanceOptions } from "../contract.ts";

/** Where an instance is locked, and where it can be talked to. */
export interface InstancePlace {
  readonly name: string;
  /** Abstract: it belongs to the network namespace, and goes with the process, kill -9 included. */
  readonly lockPath: string;
  /** In a folder of this user's alone: whoever can connect gets the listeners. */
  readonly controlPath: string;
}

/**
 * Where an instance is to be, its folder made.
 *
 * @throws InputError INSTANCE_NAME
 * @throws EnvironmentError RUNTIME_DIRECTORY where the folder cannot be made, or others could put a socket there
 */
export async function instancePlace(options: InstanceOptions): Promise<InstancePlace> {
  const place = await locateInstance(options);
  await makePrivateDirectory(dirname(place.controlPath));
  return place;
}

/** Where an instance is, if it is: root may ask one that runs as another user. @throws InputError INSTANCE_NAME */
export async function locateInstance({ name = "default", runtimeDirectory }: InstanceOptions): Promise<InstancePlace> {
  if (!/^[\w.-]{1,40}$/.test(name)) {
    throw inputError(
      "INSTANCE_NAME",
      `Cannot use instance name ${JSON.stringify(name)}: it has other characters than letters, digits, ".", "_" and "-", or is too long`,
    );
  }
  const directory = runtimeDirectory ?? defaultRuntimeDirectory();
  const namespace = /\d+/.exec(await readlink("/proc/self/ns/net").catch(() => ""))?.[0] ?? "0";
  return {
    name,
    lockPath: `\0svcproxy-userspace/${name}`,
    controlPath: join(directory, `userspace-${namespace}-${name}.sock`),
  };
}

function defaultRuntimeDirectory(): string {
  const uid = process.getuid?.() ?? 0;
  const fromSystemd = process.env["RUNTIME_DIRECTORY"]?.split(":")[0];
  if (fromSystemd !== undefined && fromSystemd !== "") return fromSystemd;
  if (uid === 0) return "/run/svcproxy";
  const ofUser = process.env["XDG_RUNTIME_DIR"];
  return ofUser === undefined || ofUser === "" ? `/tmp/svcproxy-${uid}` : join(ofUser, "svcproxy");
}

async function makePrivateDirectory(path: string): Promise<void> {
  try {
    await makeDirectory(path);
    const { uid, mode } = await stat(path);
    if (uid !== (process.getuid?.() ?? uid)) throw new Error("it belongs to another user");
    if ((mode & 0o022) !== 0) throw new Error("others may write to it");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EnvironmentError("RUNTIME_DIRECTORY", `Cannot use the runtime directory ${path}: ${reason}`, {
      hint: "Name another one by --runtime-dir",
      cause,
    });
  }
}

/** With its parents. Node's own `recursive` never returns where a file system refuses new entries by ENOENT, as /proc does. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    await makeDirectory(dirname(path));
    await mkdir(path, 0o700);
  }
}
