import { writeSync } from "node:fs";
import process from "node:process";
import { escapeUnseen } from "@svcproxy/topology";
import { type Logger, type LoggerOptions, pino } from "pino";
import type { OutputFlags } from "./command-context.ts";

/**
 * Logs to stderr: pretty on a terminal, JSON lines elsewhere, unless the flags say otherwise. `SVCPROXY_LOG_LEVEL` sets the level
 * (default `info`).
 */
export async function createLogger({ quiet = false, logFormat }: OutputFlags): Promise<Logger> {
  const options: LoggerOptions = {
    level: quiet ? "error" : (process.env["SVCPROXY_LOG_LEVEL"] ?? "info"),
    base: null,
    hooks: { streamWrite: escapeUnseen },
  };
  const isTerminal = process.stderr.isTTY === true;
  if (logFormat === "json" || (logFormat === undefined && !isTerminal)) return pino(options, { write: writeLine });
  const { default: pretty } = await import("pino-pretty");
  const colorize = isTerminal && isColorWelcome();
  return pino(
    { ...options, hooks: { streamWrite: showUnseen } },
    pretty({ colorize, destination: 2, sync: true, translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname" }),
  );
}

/** A line of JSON whose texts, once they are read and printed, show what a terminal would not: also C0, but for line breaks. */
function showUnseen(line: string): string {
  return escapeUnseen(line).replace(/\\(?:u([0-9a-f]{4})|[^u])/g, (written, code: string | undefined) =>
    code !== undefined && UNSEEN_CODES.test(code) ? `\\\\u${code}` : written,
  );
}

/** All but what JSON escapes for itself and a terminal shows. */
const UNSEEN_CODES = /^(?!0009|000a)/;

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
