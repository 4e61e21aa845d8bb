import { readFile, stat } from "node:fs/promises";
import process from "node:process";

/** Where every iptables of the machine locks; @see xtables-lock in iptables/xshared.c */
const XTABLES_LOCK = "/run/xtables.lock";

export interface LockHolder {
  readonly path: string;
  readonly pid: number;
  /** Its name as the kernel has it; absent: it ended meanwhile. */
  readonly command?: string;
}

/** Who holds the lock of iptables now, by /proc/locks; undefined: nobody, or nobody whom this process may see. */
export async function readXtablesLockHolder(): Promise<LockHolder | undefined> {
  const path = process.env["XTABLES_LOCKFILE"] ?? XTABLES_LOCK;
  const [locks, file] = await Promise.all([
    readFile("/proc/locks", "utf8").catch(() => ""),
    stat(path).catch(() => undefined),
  ]);
  const pid = file === undefined ? undefined : holderOf(locks, file.ino);
  if (pid === undefined) return undefined;
  const command = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => undefined);
  return { path, pid, ...(command === undefined ? {} : { command: command.trim() }) };
}

/**
 * Reads /proc/locks: `3: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF`; who waits has `->` before FLOCK. The kernel leaves out whom this
 * process does not see, or calls it 0 or -1.
 */
export function holderOf(locks: string, inode: number): number | undefined {
  for (const line of locks.split("\n")) {
    const [, pid = "", held] = /^\d+: FLOCK\s+\w+\s+WRITE\s+(-?\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line) ?? [];
    if (Number(held) === inode && Number(pid) > 0) return Number(pid);
  }
  return undefined;
}
