import { existsSync } from "node:fs";
import { nearestWord } from "@svcproxy/topology";
import { Command, CommanderError, type OutputConfiguration } from "commander";
import type { CommandContext, ExitCode, RunCommand } from "./command-context.ts";
import { addCheck } from "./commands/check.ts";
import { addHostState } from "./commands/host-state.ts";
import { addIptables } from "./commands/iptables.ts";
import { addLab } from "./commands/lab.ts";
import { addProve } from "./commands/prove.ts";
import { addSchema } from "./commands/schema.ts";
import { addTrace } from "./commands/trace.ts";
import { addUserspace } from "./commands/userspace.ts";
import { runCommand } from "./run-command.ts";
import { version } from "./this-program.ts";
import { writeStdoutSync } from "./write-stdout.ts";

/** Reads the command line, runs the command, and returns the exit code. */
export async function runProgram(argv: readonly string[], context: CommandContext): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  const run: RunCommand = async (action) => {
    exitCode = await runCommand(context, action);
  };
  const program = buildProgram(run, { writeOut: writeStdoutSync, writeErr: (text) => context.note(text.trimEnd()) });
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    // commander has printed what is wrong; asking for help or the version is not an error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    // The help or the version could not be written.
    await run(() => Promise.reject(error));
  }
  return exitCode;
}

/** Every command with its flags; each loads its work by import() when it runs. */
export function buildProgram(run: RunCommand, output: OutputConfiguration): Command {
  const program = new Command("svcproxy")
    .description("Service virtual IPs and NodePorts for any Linux host, and the proof that they work.")
    .version(version, "-V, --version")
    .configureOutput(output)
    .exitOverride()
    // What stands behind the name of a command is that command's.
    .enablePositionalOptions()
    .showHelpAfterError("(svcproxy --help shows the commands)")
    .hook("preAction", (_program, command) => refuseMisspelledCommand(command));
  for (const add of [addCheck, addIptables, addHostState, addLab, addProve, addSchema, addTrace, addUserspace]) {
    add(program, run);
  }
  return program;
}

/**
 * `svcproxy iptables aply`: the word could be the name of a topology file, so commander does not take it for a command.
 *
 * @throws CommanderError where there is no such file, and a sub-command has nearly that name
 */
function refuseMisspelledCommand(command: Command): void {
  const [word] = command.args;
  if (word === undefined || !/^[a-z-]+$/i.test(word) || existsSync(word)) return;
  const near = nearestWord(
    word,
    command.commands.map((subcommand) => subcommand.name()),
  );
  if (near !== undefined) command.error(`error: unknown command '${word}'\n(Did you mean ${near}?)`);
}
