import { pino } from "pino";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { runProgram } from "../program.ts";

export interface MemoryRun {
  readonly exitCode: ExitCode;
  readonly stdout: string;
  /** Notes and log lines, in order. */
  readonly stderr: string;
}

/** Runs a command line in this process, for tests of what it prints; what it does to the machine it does. */
export async function runInMemory(
  argv: readonly string[],
  { stdin = "", defaultSource }: { readonly stdin?: string; readonly defaultSource?: string } = {},
): Promise<MemoryRun> {
  const printed: string[] = [];
  const noted: string[] = [];
  const context: CommandContext = {
    print: async (text) => void printed.push(text),
    note: (line) => void noted.push(line),
    error: (line) => void noted.push(line),
    logger: async () => pino({ base: null, timestamp: false }, { write: (line) => void noted.push(line.trimEnd()) }),
    readStdin: async () => Buffer.from(stdin),
    signal: new AbortController().signal,
    defaultSource,
    stdoutIsTerminal: false,
    stderrIsTerminal: false,
  };
  const exitCode = await runProgram(argv, () => context);
  return { exitCode, stdout: printed.join(""), stderr: noted.join("\n") };
}
