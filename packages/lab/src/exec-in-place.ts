import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import process from "node:process";
import { environmentWithSbin } from "@svcproxy/host";
import { enterCommand } from "./enter-command.ts";
import { sendSignal } from "./lab.ts";
import { findPlace, type LabProcess, requireRunning } from "./lab-process.ts";
import { childrenOf } from "./processes.ts";

export interface ExecOptions {
  readonly place: string;
  readonly command: readonly string[];
}

/** Signals that end or tell a program something; they are for the command, not for the processes on the way to it. */
const PASSED_ON = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;

/** `nsenter` waits for the command; a signal from the terminal would end it and leave the command alone. */
const IGNORING = 'trap "" INT QUIT TERM HUP USR1 USR2; exec "$@"';

/**
 * Inside: the caller's folder where it exists there, and the command as a child, so that its end by a signal comes out as
 * an exit code. The shell notes signals, and goes on waiting.
 */
const RUN = 'trap : INT QUIT TERM HUP USR1 USR2; cd "$1" 2>/dev/null || cd /; shift; "$@"; exit';

/**
 * Runs a command for the user of a terminal: stdin, stdout and stderr are ours, the terminal too, and signals that we get
 * reach it.
 *
 * @returns its exit code, or 128 and the number of the signal that ended it
 * @throws InputError UNKNOWN_PLACE
 * @throws EnvironmentError LAB_GONE
 */
export async function execInPlace(lab: LabProcess, { place, command }: ExecOptions): Promise<number> {
  requireRunning(lab);
  const inside = [
    "env",
    "--default-signal=INT,QUIT,TERM,HUP,USR1,USR2",
    "sh",
    "-c",
    RUN,
    "sh",
    process.cwd(),
    ...command,
  ];
  const enter = enterCommand(lab, findPlace(lab, place), inside);
  const child = spawn("sh", ["-c", IGNORING, "sh", ...enter], { stdio: "inherit", env: environmentWithSbin() });
  const passOn = (signal: NodeJS.Signals) => {
    if (child.pid !== undefined && !cameFromTerminal(signal)) passSignal(child.pid, signal);
  };
  for (const signal of PASSED_ON) process.on(signal, passOn);
  try {
    const [code, signal] = await once(child, "exit");
    return typeof code === "number" ? code : 128 + numberOf(signal);
  } finally {
    for (const signal of PASSED_ON) process.off(signal, passOn);
  }
}

/** nsenter's child is the shell, and the shell's is the command. */
function passSignal(nsenter: number, signal: NodeJS.Signals): void {
  for (const shell of childrenOf(nsenter)) for (const pid of childrenOf(shell)) sendSignal(pid, signal);
}

/**
 * Whether the terminal has sent this signal to the command as well: it signals all of its foreground process group.
 *
 * @see proc_pid_stat(5): pgrp is the third field after the name, tpgid the sixth
 */
function cameFromTerminal(signal: NodeJS.Signals): boolean {
  if (signal !== "SIGINT" && signal !== "SIGQUIT") return false;
  const text = readFileSync("/proc/self/stat", "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields[2] === fields[5];
}

function numberOf(signal: unknown): number {
  return Object.entries(constants.signals).find(([name]) => name === signal)?.[1] ?? 0;
}
