import { lstat, readlink } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Symbolic links to walk before giving up, as many as the kernel does. */
const MAX_LINKS = 40;

/**
 * The folders in which an entry may be replaced so that `path` means another file: the file's own folder, and that of
 * each symbolic link on the way (`config/topology.yaml` -> `..data/topology.yaml`, `..data` -> `..2026_11_22`).
 * Where the way breaks off, the folder in which the next entry is missing is the last one. A `path` that is a folder is one of them.
 *
 * @param path absolute
 * @returns folder paths without links, by `device:inode`, so that a folder made anew is another one
 */
export async function foldersOnTheWay(path: string): Promise<ReadonlyMap<string, string>> {
  const folders = new Map<string, string>();
  const pending = path.split("/");
  let current = "/";
  let links = 0;
  let isFolder = true;
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === "" || name === ".") continue;
    if (name === "..") {
      current = dirname(current);
      continue;
    }
    const entry = join(current, name);
    const target = await readEntry(entry);
    if (target.kind === "link" && links++ < MAX_LINKS) {
      await addFolder(folders, current);
      pending.unshift(...target.to.split("/"));
      if (target.to.startsWith("/")) current = "/";
    } else if (target.kind === "folder") {
      current = entry;
    } else {
      isFolder = false;
      break;
    }
  }
  await addFolder(folders, current);
  if (isFolder) await addFolder(folders, dirname(current)); // where it may itself be replaced
  return folders;
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

async function addFolder(folders: Map<string, string>, folder: string): Promise<void> {
  try {
    const { dev, ino } = await lstat(folder);
    folders.set(`${dev}:${ino}`, folder);
  } catch {
    // Gone since; the next look finds out.
  }
}
