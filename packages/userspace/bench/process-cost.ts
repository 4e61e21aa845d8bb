import { readdirSync, readFileSync } from "node:fs";

/** Clock ticks a second in /proc: USER_HZ is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** A process and everything that it started, while they live. */
function processTree(pid: number): readonly number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
    );
    return [pid, ...children.flatMap(processTree)];
  } catch {
    return [];
  }
}

/** CPU seconds that a process and its children have used so far; those that ended and were waited for count too. */
export function cpuSeconds(pid: number): number {
  return processTree(pid).reduce((sum, member) => sum + ownCpuSeconds(member), 0);
}

function ownCpuSeconds(pid: number): number {
  const stat = readUnlessGone(`/proc/${pid}/stat`);
  if (stat === "") return 0;
  // The name, in parentheses, may hold blanks: fields are counted behind it. utime is the 14th of all, cstime the 17th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SECOND;
}

/** Resident bytes of a process and its children, shared pages counted once (PSS). */
export function residentBytes(pid: number): number {
  return processTree(pid).reduce((sum, member) => {
    const line = /^Pss:\s+(\d+) kB/m.exec(readUnlessGone(`/proc/${member}/smaps_rollup`));
    return sum + Number(line?.[1] ?? 0) * 1024;
  }, 0);
}

/** A process may end between two looks. */
function readUnlessGone(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
