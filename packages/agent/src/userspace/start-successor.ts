import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { EnvironmentError } from "@svcproxy/topology";

/** Starts a program that is nobody's child, and ends: systemd waits only for the end of its own children. */
const START_AND_LET_GO = '"$@" &';
/** Of this one the successor has the other end, for as long as it runs. */
const LIFELINE = 3;

/**
 * Starts the process that is to take over from this one, with this one's standard output and error.
 *
 * @param program with arguments that make it take over
 * @returns resolves where `isTakenOver` does
 * @throws EnvironmentError TAKE_OVER_FAILED where it ends before; what was wrong it has said itself
 */
export async function startSuccessor(
  program: readonly [string, ...string[]],
  { isTakenOver }: { readonly isTakenOver: Promise<void> },
): Promise<void> {
  if (process.pid === 1)
    throw takeOverFailed("this is the first process of its container, which ends with it: start a new container");
  const starter = spawn("/bin/sh", ["-c", START_AND_LET_GO, "sh", ...program], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
    env: successorEnvironment(),
  });
  const lifeline = starter.stdio[LIFELINE];
  if (lifeline === null || lifeline === undefined) throw new TypeError("there is no pipe to the successor");
  const isEnded = Promise.race([
    once(starter, "error").then(([error]) => String(error)),
    once(lifeline, "close").then(() => "it ended; its log says why"),
  ]);
  if ("resume" in lifeline) lifeline.resume();
  const failure = await Promise.race([isTakenOver.then(() => undefined), isEnded]);
  // This process ends when its connections have.
  lifeline.destroy();
  if (failure !== undefined) throw takeOverFailed(failure);
}

function takeOverFailed(reason: string): EnvironmentError {
  return new EnvironmentError("TAKE_OVER_FAILED", `The successor did not take over: ${reason}`);
}

/** A watchdog of systemd's that waits for this process waits for its successor from then on. */
function successorEnvironment(): NodeJS.ProcessEnv {
  const { WATCHDOG_PID: watched, ...rest } = process.env;
  return watched === String(process.pid) ? rest : process.env;
}
