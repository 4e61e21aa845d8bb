import { Command, CommanderError } from "commander";
import type { CommandContext, RunCommand } from "./command-context.ts";
import { registerCheck } from "./commands/check.ts";
import { registerIptables } from "./commands/iptables.ts";
import { addIptablesApply } from "./commands/iptables-apply.ts";
import { addIptablesCleanup } from "./commands/iptables-cleanup.ts";
import { addIptablesDiff } from "./commands/iptables-diff.ts";
import { registerLab } from "./commands/lab.ts";
import { registerSchema } from "./commands/schema.ts";
import type { ExitCode } from "./exit-code.ts";
import { runCommand } from "./run-command.ts";
import { version } from "./version.ts";
import { writeStdoutSync } from "./write-stdout.ts";

/** Reads the command line, runs the command, and returns the exit code. Flags are declared at once, the work is loaded when asked for. */
export async function runProgram(argv: readonly string[], context: CommandContext): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const run: RunCommand = async (action) => {
    exitCode = await runCommand(context, action);
  };
  const program = buildProgram(run);
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    // commander has printed what is wrong; asking for help or the version is no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  return exitCode;
}

function buildProgram(run: RunCommand): Command {
  const program = new Command("svcproxy")
    .description("Service virtual IPs and NodePorts for any Linux host, and the proof that they work.")
    .version(version, "-V, --version")
    .configureOutput({ writeOut: writeStdoutSync })
    .exitOverride()
    // What stands behind the name of a command is that command's.
    .enablePositionalOptions()
    .showHelpAfterError("(svcproxy --help shows the commands)");
  registerCheck(program, run);
  const iptables = registerIptables(program, run);
  addIptablesApply(iptables, run);
  addIptablesDiff(iptables, run);
  addIptablesCleanup(iptables, run);
  registerLab(program, run);
  registerSchema(program, run);
  return program;
}
