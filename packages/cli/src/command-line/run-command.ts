import { EnvironmentError, formatFault, InputError, visible } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "./command-context.ts";

/**
 * Runs one command and turns what it throws into lines on stderr and an exit code.
 * A user's mistake or a fault of the machine prints no stack; a bug of ours prints one.
 */
export async function runCommand(
  context: CommandContext,
  action: (context: CommandContext) => Promise<ExitCode>,
): Promise<ExitCode> {
  try {
    return await action(context);
  } catch (error) {
    if (error instanceof InputError) {
      for (const fault of error.faults) context.error(formatFault(fault));
      return error.exitCode;
    }
    if (error instanceof EnvironmentError) {
      const hint = error.hint === undefined ? "" : `\n  hint: ${visible(error.hint)}`;
      context.error(`svcproxy: ${visible(error.message)} [${error.code}]${hint}`);
      return error.exitCode;
    }
    if (isClosedPipe(error)) return 0;
    context.error(`svcproxy: this is a bug in svcproxy, please report it\n${stackOf(error)}`);
    return 1;
  }
}

function isClosedPipe(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EPIPE";
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
