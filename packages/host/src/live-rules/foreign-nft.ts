import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileInRoot, findInRoot, HOST_ROOT_VARIABLE } from "../machine/host-root.ts";
import { writtenNftVersion } from "../tools/nft-version.ts";

/** A program of this network namespace that sees other files than we do, as one in a container, with an nft among them. */
export interface ForeignNft {
  /** One of its processes. */
  readonly pid: number;
  /** Its name as the kernel has it, at most 15 characters. */
  readonly command: string;
  /** Of its nft, as the program's file has it, for instance `1.1.3`; undefined where that is not to be seen. */
  readonly version: string | undefined;
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
    const root = join(proc, pid, "root");
    const nft = findInRoot(root, "nft");
    if (nft === undefined) continue;
    const version = await writtenNftVersion(fileInRoot(root, nft) ?? "");
    const command = await readFile(join(proc, pid, "comm"), "utf8").catch(() => "");
    found.push({ pid: Number(pid), command: command.trim(), version });
  }
  return found;
}
