import { readFile, writeFile } from "node:fs/promises";
import { outOfDescriptors } from "../tools/system-error.ts";

/**
 * A setting of this network namespace by its dotted name, `net.ipv4.conf.eth0.100.rp_filter` for that of the device `eth0.100`.
 *
 * @returns undefined where this kernel does not have it, for instance because a module is not loaded
 * @throws EnvironmentError OUT_OF_DESCRIPTORS
 */
export async function readSysctl(name: string): Promise<string | undefined> {
  try {
    return (await readFile(sysctlPath(name), "utf8")).trim();
  } catch (error) {
    const fault = outOfDescriptors(`Cannot read ${name}`, error);
    if (fault !== undefined) throw fault;
    return undefined;
  }
}

/**
 * @returns whether the kernel took it: most containers have them read-only
 * @throws EnvironmentError OUT_OF_DESCRIPTORS
 */
export async function writeSysctl(name: string, value: string): Promise<boolean> {
  try {
    await writeFile(sysctlPath(name), value);
    return true;
  } catch (error) {
    const fault = outOfDescriptors(`Cannot set ${name}=${value}`, error);
    if (fault !== undefined) throw fault;
    return false;
  }
}

/** Settings that every device has; a device's name may have dots of its own. */
const OF_DEVICE = /^(net\.ipv[46]\.(?:conf|neigh))\.(.+)\.(\w+)$/;

/** The file of a setting. */
export function sysctlPath(name: string): string {
  const [, folder = name, device, setting] = OF_DEVICE.exec(name) ?? [];
  const path = `/proc/sys/${folder.replaceAll(".", "/")}`;
  return device === undefined ? path : `${path}/${device}/${setting}`;
}
