import { readdir, readFile, readlink } from "node:fs/promises";

/** A process of this network namespace, as far as this user may see it. */
export interface RunningProcess {
  readonly pid: number;
  /** Its name as the kernel has it, at most 15 characters. */
  readonly command: string;
}

/** Those that are in a network namespace, default our own; kernel threads are not. */
export async function readProcesses(namespace = "/proc/self/ns/net"): Promise<readonly RunningProcess[]> {
  const own = await readlink(namespace).catch(() => "");
  const pids = (await readdir("/proc").catch(() => [])).filter((entry) => /^\d+$/.test(entry));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const place = await readlink(`/proc/${pid}/ns/net`).catch(() => undefined);
      if (place !== own) return [];
      const [command, commandLine] = await Promise.all(
        [`/proc/${pid}/comm`, `/proc/${pid}/cmdline`].map((path) => readFile(path, "utf8").catch(() => "")),
      );
      if (command === undefined || command === "" || commandLine === "") return [];
      return [{ pid: Number(pid), command: command.trim() }];
    }),
  );
  return found.flat();
}

/** A file of /proc; undefined where it is not there or may not be read. */
export function readProcFile(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(() => undefined);
}
