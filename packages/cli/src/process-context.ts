import process from "node:process";
import type { Logger } from "pino";
import type { CommandContext } from "./command-context.ts";
import { writeStdout } from "./write-stdout.ts";

/** The command context of a real process. */
export function processContext(): CommandContext {
  let logger: Promise<Logger> | undefined;
  let signal: AbortSignal | undefined;
  return {
    print: writeStdout,
    note: (text) => {
      // Whoever read stderr may have gone; that changes neither the work nor the exit code.
      if (!process.stderr.listeners("error").includes(ignore)) process.stderr.on("error", ignore);
      process.stderr.write(`${text}\n`);
    },
    logger: () => {
      logger ??= import("./logger.ts").then(({ createLogger }) => createLogger());
      return logger;
    },
    readStdin,
    // Signals are only caught once a command asks: until then they end the process as usual.
    get signal() {
      if (signal === undefined) {
        const abort = new AbortController();
        signal = abort.signal;
        for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => abort.abort(name));
      }
      return signal;
    },
    // Getters: asking builds the stream, which takes longer than a short command.
    get stdoutIsTerminal() {
      return process.stdout.isTTY === true;
    },
    get stderrIsTerminal() {
      return process.stderr.isTTY === true;
    },
  };
}

function ignore(): void {}

async function readStdin({ maxBytes = Number.POSITIVE_INFINITY } = {}): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of process.stdin) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > maxBytes) break;
  }
  return Buffer.concat(chunks);
}
