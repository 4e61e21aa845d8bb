import { writeSync } from "node:fs";
import process from "node:process";
import { type Logger, pino } from "pino";
import type { OutputFlags } from "./command-context.ts";

/**
 * Logs to stderr: pretty on a terminal, JSON lines elsewhere, unless the flags say otherwise. `SVCPROXY_LOG_LEVEL` sets the level
 * (default `info`).
 */
export async function createLogger({ quiet = false, logFormat }: OutputFlags): Promise<Logger> {
  const options = { level: quiet ? "error" : (process.env["SVCPROXY_LOG_LEVEL"] ?? "info"), base: null };
  const isTerminal = process.stderr.isTTY === true;
  if (logFormat === "json" || (logFormat === undefined && !isTerminal)) return pino(options, { write: writeLine });
  const { default: pretty } = await import("pino-pretty");
  const colorize = isTerminal && isColorWelcome();
  return pino(
    options,
    pretty({ colorize, destination: 2, sync: true, translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname" }),
  );
}

/** @see https://no-color.org */
function isColorWelcome(): boolean {
  const { NO_COLOR: noColor = "", TERM: terminal } = process.env;
  return noColor === "" && terminal !== "dumb";
}

/** A line that cannot be written, because the disk is full or nobody reads, is lost: the work goes on. Pino's own stream would wait, or end the process. */
function writeLine(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // There is nowhere left to say so.
  }
}
