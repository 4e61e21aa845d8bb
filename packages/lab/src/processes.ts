import { readdirSync, readFileSync } from "node:fs";

/** The pids of a process's children, as this PID namespace numbers them. */
export function childrenOf(pid: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => readStat(candidate)?.parent === pid);
}

/** When a process was started, in clock ticks since boot: with the pid it names a process for good. Undefined: it is gone. */
export function startTimeOf(pid: number): string | undefined {
  const stat = readStat(pid);
  return stat === undefined || stat.state === "Z" || stat.state === "X" ? undefined : stat.startTime;
}

interface ProcessStat {
  readonly state: string;
  readonly parent: number;
  readonly startTime: string;
}

/** @see proc_pid_stat(5); the name, in parentheses, may itself hold blanks and parentheses */
function readStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined; // it ended meanwhile
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, parent, startTime] = [fields[0], fields[1], fields[19]];
  if (state === undefined || parent === undefined || startTime === undefined) return undefined;
  return { state, parent: Number(parent), startTime };
}
