import type { Logger } from "pino";

/** `lab exec` and `lab capture` end as the command that they ran for the user: any number up to 255. */
export type ExitCode = number;

/** What the number says that svcproxy ends with, in every command. */
export const EXIT_CODES = {
  0: "done",
  1: "failed",
  2: "wrong usage or bad input",
  3: "a difference, a cause or a broken promise was found",
  4: "nothing is broken, but something could not be decided",
} as const;

/** What the user says about stderr; every command takes these flags. */
export interface OutputFlags {
  /** Errors alone. */
  readonly quiet?: boolean;
  /** Default: text on a terminal; elsewhere logs are JSON lines, and what is for people is text. */
  readonly logFormat?: "text" | "json";
}

/** What a command may touch of the process; one in memory serves the tests. */
export interface CommandContext {
  /** The data that was asked for. Resolves when the chunk is handed over; a closed pipe ends the command quietly. */
  print(text: string): Promise<void>;
  /** Progress, notes and warnings for people: one line, to stderr. */
  note(text: string): void;
  /** Why the command fails: one line, to stderr. */
  error(text: string): void;
  /** Logs to stderr: pretty on a terminal, JSON lines elsewhere. Loaded on first use, because start-up matters. */
  logger(): Promise<Logger>;
  /** All of stdin as bytes; reads no further once there are more than `maxBytes`. */
  readStdin(options?: { readonly maxBytes?: number }): Promise<Buffer>;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** The topology of this host, where the command line names none: a file's path; undefined where there is no such file. */
  readonly defaultSource: string | undefined;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
}

/** How every command ends. */
export type RunCommand = (action: (context: CommandContext) => Promise<ExitCode>) => Promise<void>;
