import process from "node:process";
import { type Logger, pino } from "pino";

/** Logs to stderr: pretty on a terminal, JSON lines elsewhere. `SVCPROXY_LOG_LEVEL` sets the level (default `info`). */
export async function createLogger(): Promise<Logger> {
  const options = { level: process.env["SVCPROXY_LOG_LEVEL"] ?? "info", base: null };
  if (process.stderr.isTTY !== true) return pino(options, pino.destination({ dest: 2, sync: true }));
  const { default: pretty } = await import("pino-pretty");
  const colorize = process.env["NO_COLOR"] === undefined || process.env["NO_COLOR"] === "";
  return pino(
    options,
    pretty({ colorize, destination: 2, sync: true, translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname" }),
  );
}
