import { writeSync } from "node:fs";
import process from "node:process";

const STDOUT = 1;

/**
 * Writes to stdout without building `process.stdout`, whose stream and socket modules take 4 ms to load.
 * Where the other side of a non-blocking pipe is slower than we are, the stream takes over and waits.
 *
 * @throws the system's EPIPE error where the reader has gone
 */
export async function writeStdout(text: string): Promise<void> {
  let rest = Buffer.from(text);
  try {
    while (rest.length > 0) rest = rest.subarray(writeSync(STDOUT, rest));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) throw error;
    await new Promise<void>((resolve, reject) =>
      process.stdout.write(rest, (failure) => (failure ? reject(failure) : resolve())),
    );
  }
}

/** The same, for a few lines at a place that cannot wait. */
export function writeStdoutSync(text: string): void {
  writeSync(STDOUT, text);
}
