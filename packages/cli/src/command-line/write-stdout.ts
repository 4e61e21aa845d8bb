import { writeSync } from "node:fs";
import process from "node:process";
import { EnvironmentError } from "@svcproxy/topology";

const STDOUT = 1;

/**
 * Writes to stdout without building `process.stdout`, whose stream and socket modules take 4 ms to load.
 * Where the other side of a non-blocking pipe is slower than we are, the stream takes over and waits.
 *
 * @throws the system's EPIPE error where the reader has gone; EnvironmentError STDOUT_UNWRITABLE where the disk is full, say
 */
export async function writeStdout(text: string): Promise<void> {
  let rest = Buffer.from(text);
  try {
    while (rest.length > 0) rest = rest.subarray(writeSync(STDOUT, rest));
  } catch (error) {
    if (codeOf(error) !== "EAGAIN") throw explain(error);
    await new Promise<void>((resolve, reject) => {
      // Without a listener, the stream's own report of what the callback is told ends the process.
      process.stdout.once("error", reject);
      process.stdout.write(rest, (failure) => {
        if (failure) return reject(explain(failure));
        process.stdout.off("error", reject);
        resolve();
      });
    });
  }
}

/**
 * The same, for a few lines at a place that cannot wait; quiet where the reader has gone.
 *
 * @throws EnvironmentError STDOUT_UNWRITABLE
 */
export function writeStdoutSync(text: string): void {
  try {
    writeSync(STDOUT, text);
  } catch (error) {
    const code = codeOf(error);
    if (code === "EAGAIN") process.stdout.on("error", () => {}).write(text);
    else if (code !== "EPIPE") throw explain(error);
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function explain(error: unknown): unknown {
  const code = codeOf(error);
  if (code === "EPIPE" || !(error instanceof Error)) return error;
  const reason = code === "ENOSPC" ? "no space is left" : error.message;
  return new EnvironmentError("STDOUT_UNWRITABLE", `Cannot write the output: ${reason}`, { cause: error });
}
