import { writeSync } from "node:fs";
import process from "node:process";
import { type Logger, pino } from "pino";

/** Logs to stderr: pretty on a terminal, JSON lines elsewhere. `SVCPROXY_LOG_LEVEL` sets the level (default `info`). */
export async function createLogger(): Promise<Logger> {
  const options = { level: process.env["SVCPROXY_LOG_LEVEL"] ?? "info", base: null };
  if (process.stderr.isTTY !== true) return pino(options, { write: writeLine });
  const { default: pretty } = await import("pino-pretty");
  const colorize = process.env["NO_COLOR"] === undefined || process.env["NO_COLOR"] === "";
  return pino(
    options,
    pretty({ colorize, destination: 2, sync: true, translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname" }),
  );
}

/** A line that cannot be written, because the disk is full or nobody reads, is lost: the work goes on. Pino's own stream would wait, or end the process. */
function writeLine(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // There is nowhere left to say so.
  }
}
