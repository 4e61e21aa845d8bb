import { readdirSync, readFileSync } from "node:fs";

/** Ticks of a clock by which Linux tells CPU time. */
const TICKS_PER_SECOND = 100;

/** CPU time that a process and those that it started have used so far, in seconds; what has ended among it. */
export function cpuSeconds(pid: number | undefined): number {
  const ticks = [pid, ...childrenOf(pid)].reduce<number>((sum, one) => sum + ticksOf(one), 0);
  return ticks / TICKS_PER_SECOND;
}

/** User and system time, its own and that of the children that ended. @see proc_pid_stat(5), fields 14 to 17 */
function ticksOf(pid: number | undefined): number {
  const fields = readOfProcess(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

function childrenOf(pid: number | undefined): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readOfProcess(`/proc/${pid}/task/${task}/children`).split(" ").filter(Boolean).map(Number),
  );
}

/** Nothing of a process that has ended meanwhile. */
function readOfProcess(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
