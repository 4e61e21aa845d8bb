import { statSync } from "node:fs";
import process from "node:process";
import { escapeUnseen } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { CommandContext, OutputFlags } from "./command-context.ts";
import { writeStdout } from "./write-stdout.ts";

const DEFAULT_SOURCE = "/etc/svcproxy/topology.yaml";

/** The command context of a real process. */
export function processContext(flags: OutputFlags): CommandContext {
  let logger: Promise<Logger> | undefined;
  let signal: AbortSignal | undefined;
  return {
    // Names come from files: what a terminal would not show as it is, or not at all, is written out.
    print: (text) => writeStdout(escapeUnseen(text)),
    note: (text) => {
      if (flags.quiet !== true) writeStderr(flags.logFormat === "json" ? jsonLine(30, text) : text);
    },
    error: (text) => writeStderr(flags.logFormat === "json" ? jsonLine(50, text) : text),
    logger: () => {
      logger ??= import("./logger.ts").then(({ createLogger }) => createLogger(flags));
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
    get defaultSource() {
      return isThere(DEFAULT_SOURCE) ? DEFAULT_SOURCE : undefined;
    },
    // Getters: asking builds the stream, which takes longer than a short command.
    get stdoutIsTerminal() {
      // One that does not understand control sequences is treated like a file.
      return process.stdout.isTTY === true && process.env["TERM"] !== "dumb";
    },
    get stderrIsTerminal() {
      return process.stderr.isTTY === true;
    },
  };
}

/** Also where nobody may look: that is told when it is read. */
function isThere(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"));
  }
}

function writeStderr(line: string): void {
  // Whoever read stderr may have gone; that changes neither the work nor the exit code.
  if (!process.stderr.listeners("error").includes(ignore)) process.stderr.on("error", ignore);
  process.stderr.write(`${escapeUnseen(line)}\n`);
}

/** As pino writes it, which takes too long to load for a note. @param level 30 is info, 50 error */
function jsonLine(level: 30 | 50, msg: string): string {
  return JSON.stringify({ level, time: Date.now(), msg });
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
