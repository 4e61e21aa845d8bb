import { readlink } from "node:fs/promises";
import { join } from "node:path";
import { findRuntimeDirectory, makeRuntimeDirectory, PROXY_FOLDER, runtimeDirectories } from "@svcproxy/host";
import { inputError } from "@svcproxy/topology";
import type { InstanceOptions } from "./instance-options.ts";

/** Where an instance is locked, and where it can be talked to. */
export interface InstancePlace {
  /** The lock's, among those of this network namespace. */
  readonly lockName: string;
  /** Of this user's alone: whoever can connect gets the listeners. */
  readonly directory: string;
  readonly controlPath: string;
}

/**
 * Where an instance is to be, its folder made.
 *
 * @throws InputError INSTANCE_NAME
 * @throws EnvironmentError RUNTIME_DIRECTORY where the folder cannot be made, or others could put a socket there
 */
export async function instancePlace(options: InstanceOptions): Promise<InstancePlace> {
  checkName(options);
  return placeIn(await makeRuntimeDirectory(directoryOptions(options)), options);
}

/** Where an instance is, if it is: root may ask one that runs as another user. @throws InputError INSTANCE_NAME */
export async function locateInstance(options: InstanceOptions): Promise<InstancePlace> {
  checkName(options);
  const [likeliest = ""] = runtimeDirectories(directoryOptions(options));
  return placeIn((await findRuntimeDirectory(directoryOptions(options))) ?? likeliest, options);
}

function directoryOptions({ runtimeDirectory }: InstanceOptions) {
  // A folder of its own, because the systemd unit gives it to another user, and takes it away when the proxy ends.
  return { wanted: runtimeDirectory, below: PROXY_FOLDER };
}

async function placeIn(directory: string, { name = "default" }: InstanceOptions): Promise<InstancePlace> {
  const namespace = /\d+/.exec(await readlink("/proc/self/ns/net").catch(() => ""))?.[0] ?? "0";
  return {
    lockName: `userspace-${name}`,
    directory,
    controlPath: join(directory, `userspace-${namespace}-${name}.sock`),
  };
}

function checkName({ name = "default" }: InstanceOptions): void {
  if (/^[\w.-]{1,40}$/.test(name)) return;
  throw inputError(
    "INSTANCE_NAME",
    `Cannot use instance name ${JSON.stringify(name)}: it has other characters than letters, digits, ".", "_" and "-", or is too long`,
  );
}
