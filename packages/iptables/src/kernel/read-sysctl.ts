import { readFile } from "node:fs/promises";

/**
 * A setting of this network namespace by its dotted name.
 *
 * @returns undefined where this kernel does not have it, for instance because the module is not loaded
 */
export async function readSysctl(name: string): Promise<string | undefined> {
  try {
    return (await readFile(`/proc/sys/${name.replaceAll(".", "/")}`, "utf8")).trim();
  } catch {
    return undefined;
  }
}
