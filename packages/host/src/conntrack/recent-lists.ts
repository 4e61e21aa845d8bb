import { readdir, readFile } from "node:fs/promises";

const FOLDER = "/proc/net/xt_recent";

/**
 * The addresses on each list of iptables' `recent` match.
 *
 * @returns undefined where the kernel has no such lists: then none is known to be empty either, for a module loads later
 */
export async function readRecentLists(): Promise<Readonly<Record<string, readonly string[]>> | undefined> {
  try {
    const lists = await readdir(FOLDER);
    const entries = await Promise.all(
      lists.map(async (list) => {
        const text = await readFile(`${FOLDER}/${list}`, "utf8");
        return [list, [...text.matchAll(/^src=(\S+)/gm)].flatMap(([, address]) => address ?? [])] as const;
      }),
    );
    return Object.fromEntries(entries);
  } catch {
    return undefined;
  }
}
