import { existsSync } from "node:fs";
import { nearestWord } from "@svcproxy/topology";
import { Command, CommanderError, Option, type OutputConfiguration } from "commander";
import {
  type CommandContext,
  EXIT_CODES,
  type ExitCode,
  type OutputFlags,
  type RunCommand,
} from "./command-line/command-context.ts";
import { acceptMoreWords, refuseMoreWords } from "./command-line/refuse-more-words.ts";
import { runCommand } from "./command-line/run-command.ts";
import { version } from "./command-line/this-program.ts";
import { writeStdoutSync } from "./command-line/write-stdout.ts";
import { addCheck } from "./commands/check.ts";
import { addCleanup } from "./commands/cleanup.ts";
import { addCompletion } from "./commands/completion.ts";
import { addConfirm } from "./commands/confirm.ts";
import { addConnections } from "./commands/connections.ts";
import { addDial } from "./commands/dial.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addEtcd } from "./commands/etcd.ts";
import { addExplain } from "./commands/explain.ts";
import { addFindings } from "./commands/findings.ts";
import { addHostState } from "./commands/host-state.ts";
import { addIptables } from "./commands/iptables.ts";
import { addLab } from "./commands/lab.ts";
import { addNftables } from "./commands/nftables.ts";
import { addProve } from "./commands/prove.ts";
import { addRegister } from "./commands/register.ts";
import { addRun } from "./commands/run.ts";
import { addSchema } from "./commands/schema.ts";
import { addStatus } from "./commands/status.ts";
import { addTrace } from "./commands/trace.ts";
import { addUserspace } from "./commands/userspace.ts";
import { addView } from "./commands/view.ts";

/** Reads the command line, runs the command, and returns the exit code. */
export async function runProgram(
  argv: readonly string[],
  openContext: (flags: OutputFlags) => CommandContext,
): Promise<ExitCode> {
  let exitCode: ExitCode = 0;
  let flags: OutputFlags = {};
  const run: RunCommand = async (action) => {
    exitCode = await runCommand(openContext(flags), action);
  };
  const program = buildProgram(run, {
    writeOut: writeStdoutSync,
    writeErr: (text) => openContext(flags).error(text.trimEnd()),
  });
  program.hook("preAction", (_program, command) => {
    flags = command.opts<OutputFlags>();
  });
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

/** In the order in which the help lists them: to look, to change this host, to ask and to prove, to play. */
const COMMANDS = [
  addCheck,
  addRun,
  addStatus,
  addConnections,
  addConfirm,
  addNftables,
  addIptables,
  addUserspace,
  addEtcd,
  addRegister,
  addCleanup,
  addTrace,
  addProve,
  addDoctor,
  addExplain,
  addView,
  addHostState,
  addLab,
  addSchema,
  addCompletion,
  addFindings,
  addDial,
];

/** Every command with its flags; each loads its work by import() when it runs. */
export function buildProgram(run: RunCommand, output: OutputConfiguration = {}): Command {
  const program = new Command("svcproxy")
    .description("Service virtual IPs and NodePorts for any Linux host, and the proof that they work.")
    .version(version, "-V, --version")
    .configureOutput(output)
    // Names alone, so that 80 columns have room for what they do.
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .exitOverride()
    // What stands behind the name of a command is that command's.
    .enablePositionalOptions()
    .showHelpAfterError("(svcproxy --help shows the commands)")
    .addHelpText("after", () => `\nExit codes:\n${exitCodes()}`)
    .hook("preAction", (_program, command) => {
      refuseMisspelledCommand(command);
      refuseMoreWords(command);
    });
  for (const add of COMMANDS) add(program, run);
  addOutputFlags(program);
  acceptMoreWords(program);
  return program;
}

function exitCodes(): string {
  return Object.entries(EXIT_CODES)
    .map(([code, about]) => `  ${code}  ${about}`)
    .join("\n");
}

const OUTPUT_FLAGS = [
  new Option("-q, --quiet", "say nothing on stderr but why it fails"),
  new Option("--log-format <format>", "stderr as text, or as JSON lines").choices(["text", "json"]),
];

/** On every command that does something, so that they may stand anywhere on the line. */
function addOutputFlags(program: Command): void {
  for (const command of program.commands) {
    addOutputFlags(command);
    const onlyNamesOthers = command.commands.length > 0 && command.registeredArguments.length === 0;
    if (!onlyNamesOthers) for (const flag of OUTPUT_FLAGS) command.addOption(flag);
  }
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
