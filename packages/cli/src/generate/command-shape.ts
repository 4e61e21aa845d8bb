import type { Argument, Command, Option } from "commander";
import { type CommandHelp, helpOf } from "../command-line/command-help.ts";

/** A command as completions and man pages need it; hidden ones are left out. */
export interface CommandShape extends CommandHelp {
  /** `["iptables", "apply"]`; none for svcproxy itself. */
  readonly words: readonly string[];
  readonly operands: readonly OperandShape[];
  readonly options: readonly OptionShape[];
  readonly subcommands: readonly CommandShape[];
}

export interface OperandShape {
  /** `[topology...]` */
  readonly usage: string;
  readonly about: string;
  readonly choices: readonly string[] | undefined;
  readonly isFile: boolean;
}

export interface OptionShape {
  /** `-d` */
  readonly short: string | undefined;
  /** `--detach` */
  readonly long: string;
  /** `<name>`; undefined for a flag without a value. */
  readonly value: string | undefined;
  /** What the value can be; undefined where it may be anything. */
  readonly choices: readonly string[] | undefined;
  readonly isFile: boolean;
  readonly about: string;
}

/** Placeholders of options whose value is the path of a file or of a folder. */
const FILES = new Set(["<file>", "<files...>", "<dir>"]);

export function shapeOf(command: Command, words: readonly string[] = []): CommandShape {
  const help = command.createHelp();
  return {
    ...helpOf(command),
    words,
    operands: command.registeredArguments.map(operandShape),
    options: help.visibleOptions(command).map(optionShape),
    subcommands: help
      .visibleCommands(command)
      .filter((subcommand) => subcommand.name() !== "help")
      .map((subcommand) => shapeOf(subcommand, [...words, subcommand.name()])),
  };
}

/** A command and all below it, each before its sub-commands. */
export function withSubcommands(shape: CommandShape): readonly CommandShape[] {
  return [shape, ...shape.subcommands.flatMap(withSubcommands)];
}

function operandShape(argument: Argument): OperandShape {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return {
    usage: argument.required ? `<${name}>` : `[${name}]`,
    about: argument.description,
    choices: argument.argChoices,
    isFile: argument.name() === "topology",
  };
}

function optionShape(option: Option): OptionShape {
  const value = /[<[].*[>\]]$/.exec(option.flags)?.[0];
  const preset: unknown = option.defaultValue;
  const isShown =
    (typeof preset === "string" || typeof preset === "number") && !option.description.includes("(default");
  return {
    short: option.short,
    long: option.long ?? option.flags,
    value,
    choices: option.argChoices,
    isFile: value !== undefined && FILES.has(value),
    about: `${option.description}${isShown ? ` (default: ${preset})` : ""}`,
  };
}
