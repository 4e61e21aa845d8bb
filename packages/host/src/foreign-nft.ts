import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { findInRoot, HOST_ROOT_VARIABLE } from "./host-root.ts";

/** A program of this network namespace that sees other files than we do, as one in a container, with an nft among them. */
export interface ForeignNft {
  /** One of its processes. */
  readonly pid: number;
  /** Its name as the kernel has it, at most 15 characters. */
  readonly command: string;
}

/**
 * Who may write the tables here by another nft than ours, one for each mount namespace, by /proc alone: none of their programs is
 * started. Where they may not be looked at they are missing.
 *
 * @param options.proc where the processes are seen
 * @param options.isInHostRoot whether the nft that we run is the host's, not that of our own files
 */
export async function findForeignNfts({
  proc = "/proc",
  isInHostRoot = (process.env[HOST_ROOT_VARIABLE] ?? "") !== "",
} = {}): Promise<readonly ForeignNft[]> {
  const namespace = (pid: string, kind: "mnt" | "net") => readlink(join(proc, pid, "ns", kind)).catch(() => undefined);
  const [ownFiles, ownNetwork] = await Promise.all([namespace("self", "mnt"), namespace("self", "net")]);
  // In a container with the host's files mounted it is the host's nft that we run, which the host's programs run as well.
  const usedFiles = isInHostRoot ? await namespace("1", "mnt") : ownFiles;
  const seen = new Set([ownFiles, usedFiles, undefined]);
  const found: ForeignNft[] = [];
  for (const pid of (await readdir(proc).catch(() => [])).filter((entry) => /^\d+$/.test(entry))) {
    const files = await namespace(pid, "mnt");
    if (seen.has(files) || (await namespace(pid, "net")) !== ownNetwork) continue;
    seen.add(files);
    if (findInRoot(join(proc, pid, "root"), "nft") === undefined) continue;
    const command = await readFile(join(proc, pid, "comm"), "utf8").catch(() => "");
    found.push({ pid: Number(pid), command: command.trim() });
  }
  return found;
}
