import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { text } from "node:stream/consumers";
import type { NetworkNamespace } from "@svcproxy/lab";
import { inject } from "vitest";

export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs the command line below another program, for instance `["setpriv", "--reuid", "1000"]`. */
  readonly below?: readonly string[];
}

/** Runs the command line inside a network namespace, for tests; whatever its exit code. */
export async function runCli(
  namespace: NetworkNamespace,
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const { child, ended } = startCli(namespace, args, options);
  child.stdin?.end(options.input ?? "");
  return ended;
}

/** Its pid is the command line's own. */
export function startCli(
  namespace: NetworkNamespace,
  args: readonly string[],
  { env = {}, below = [] }: CliOptions = {},
): { readonly child: ChildProcess; readonly ended: Promise<CliResult> } {
  const command = [...below, process.execPath, inject("program"), ...args];
  const child = spawn("nsenter", [`--net=/proc/${namespace.pid}/ns/net`, ...command], {
    env: { ...process.env, ...env },
  });
  child.stdin.on("error", () => {});
  const ended = Promise.all([once(child, "close"), text(child.stdout), text(child.stderr)]).then(
    ([[exitCode], stdout, stderr]): CliResult => ({
      exitCode: typeof exitCode === "number" ? exitCode : null,
      stdout,
      stderr,
    }),
  );
  return { child, ended };
}
