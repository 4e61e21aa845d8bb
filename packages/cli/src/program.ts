import { Command, CommanderError } from "commander";
import type { CommandContext, RunCommand } from "./command-context.ts";
import { registerCheck } from "./commands/check.ts";
import { registerHostState } from "./commands/host-state.ts";
import { registerIptables } from "./commands/iptables.ts";
import { addIptablesApply } from "./commands/iptables-apply.ts";
import { addIptablesCleanup } from "./commands/iptables-cleanup.ts";
import { addIptablesDiff } from "./commands/iptables-diff.ts";
import { registerLab } from "./commands/lab.ts";
import { registerProve } from "./commands/prove.ts";
import { registerSchema } from "./commands/schema.ts";
import { registerTrace } from "./commands/trace.ts";
import { registerUserspace } from "./commands/userspace.ts";
import { addUserspaceCleanup } from "./commands/userspace-cleanup.ts";
import { addUserspaceStatus } from "./commands/userspace-status.ts";
import { addUserspaceWorker } from "./commands/userspace-worker.ts";
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
  const program = buildProgram(argv, run);
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    // commander has printed what is wrong; asking for help or the version is no error.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    // The help or the version could not be written.
    await run(() => Promise.reject(error));
  }
  return exitCode;
}

type Register = (program: Command, run: RunCommand, argv: readonly string[]) => void;

const IPTABLES_WORDS: ReadonlySet<string> = new Set(["apply", "diff", "cleanup", "help", "--help", "-h"]);

/** Declares the flags of each command, in the order in which the help lists them. */
const COMMANDS: Readonly<Record<string, Register>> = {
  check: registerCheck,
  iptables: (program, run, argv) => {
    const iptables = registerIptables(program, run);
    // Printing is what people wait for; its sub-commands are declared where the line may name one, or asks for help.
    if (!argv.some((word) => IPTABLES_WORDS.has(word))) return;
    addIptablesApply(iptables, run);
    addIptablesDiff(iptables, run);
    addIptablesCleanup(iptables, run);
  },
  "host-state": registerHostState,
  lab: registerLab,
  prove: registerProve,
  schema: registerSchema,
  trace: registerTrace,
  userspace: (program, run) => {
    const userspace = registerUserspace(program, run);
    addUserspaceStatus(userspace, run);
    addUserspaceCleanup(userspace, run);
    addUserspaceWorker(userspace, run);
  },
};

/** Declares the command that the line names; all of them (6 ms) only where it names none, for help and for hints. */
function buildProgram(argv: readonly string[], run: RunCommand): Command {
  const program = new Command("svcproxy")
    .description("Service virtual IPs and NodePorts for any Linux host, and the proof that they work.")
    .version(version, "-V, --version")
    .configureOutput({ writeOut: writeStdoutSync })
    .exitOverride()
    // What stands behind the name of a command is that command's.
    .enablePositionalOptions()
    .showHelpAfterError("(svcproxy --help shows the commands)");
  const [first = ""] = argv;
  const named = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  const asksForVersion = first === "--version" || first === "-V";
  const registered = named !== undefined ? [named] : asksForVersion ? [] : Object.values(COMMANDS);
  for (const register of registered) register(program, run, argv);
  return program;
}
