import { lstat, readlink } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Symbolic links to walk before giving up, as many as the kernel does. */
const MAX_LINKS = 40;

/** A folder in which an entry may be replaced. */
export interface FolderOnTheWay {
  /** Without links. */
  readonly folder: string;
  /** The entries that count. */
  readonly names: ReadonlySet<string>;
}

/**
 * Where an entry may be replaced so that `path` means another file: the file's own folder, and that of each symbolic link on
 * the way (`config/topology.yaml` -> `..data/topology.yaml`, `..data` -> `..2026_11_22`). Where the way breaks off, the folder in
 * which the next entry is missing is the last one.
 *
 * @param path absolute
 * @returns by `device:inode`, so that a folder made anew is another one
 */
export async function entriesOnTheWay(path: string): Promise<ReadonlyMap<string, FolderOnTheWay>> {
  const found = new Map<string, { folder: string; names: Set<string> }>();
  const add = async (folder: string, name: string) => {
    try {
      const { dev, ino } = await lstat(folder);
      const identity = `${dev}:${ino}`;
      const known = found.get(identity);
      if (known === undefined) found.set(identity, { folder, names: new Set([name]) });
      else known.names.add(name);
    } catch {
      // Gone since; the next look finds out.
    }
  };
  const pending = path.split("/");
  let current = "/";
  let last: string | undefined;
  let links = 0;
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === "" || name === ".") continue;
    if (name === "..") {
      current = dirname(current);
      last = undefined;
      continue;
    }
    const entry = join(current, name);
    const target = await readEntry(entry);
    if (target.kind === "link" && links++ < MAX_LINKS) {
      await add(current, name);
      pending.unshift(...target.to.split("/"));
      if (target.to.startsWith("/")) current = "/";
      last = undefined;
    } else if (target.kind === "folder") {
      current = entry;
      last = name;
    } else {
      await add(current, name);
      return found;
    }
  }
  // A folder may itself be replaced.
  if (last !== undefined) await add(dirname(current), last);
  return found;
}

type Entry =
  | { readonly kind: "link"; readonly to: string }
  | { readonly kind: "folder" }
  | { readonly kind: "file-or-missing" };

async function readEntry(path: string): Promise<Entry> {
  try {
    const stats = await lstat(path);
    if (stats.isSymbolicLink()) return { kind: "link", to: await readlink(path) };
    return { kind: stats.isDirectory() ? "folder" : "file-or-missing" };
  } catch {
    return { kind: "file-or-missing" };
  }
}
