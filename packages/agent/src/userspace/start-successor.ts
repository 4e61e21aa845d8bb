import { spawn } from "node:child_process";
import process from "node:process";
import { EnvironmentError } from "@svcproxy/topology";

/**
 * Starts the process that is to take over from this one, with this one's standard streams.
 *
 * @param program with arguments that make it take over
 * @returns resolves where `isTakenOver` does
 * @throws EnvironmentError TAKE_OVER_FAILED where it ends before; what was wrong it has said itself
 */
export async function startSuccessor(
  [program, ...args]: readonly [string, ...string[]],
  { isTakenOver }: { readonly isTakenOver: Promise<void> },
): Promise<void> {
  const child = spawn(program, args, { stdio: "inherit", env: successorEnvironment() });
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(`it ended with ${signal ?? `exit code ${code}`}; its log says why`));
  });
  const failure = await Promise.race([isTakenOver.then(() => undefined), ended]);
  // This process ends when its connections have.
  child.unref();
  if (failure === undefined) return;
  throw new EnvironmentError("TAKE_OVER_FAILED", `The successor did not take over: ${failure}`);
}

/** A watchdog of systemd's that waits for this process waits for its successor from then on. */
function successorEnvironment(): NodeJS.ProcessEnv {
  const { WATCHDOG_PID: watched, ...rest } = process.env;
  return watched === String(process.pid) ? rest : process.env;
}
