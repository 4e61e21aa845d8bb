import type { Command } from "commander";

/** What a command's help and man page say besides its flags. */
export interface CommandHelp {
  /** What it does, in one line that goes on after `svcproxy NAME:`. */
  readonly about: string;
  /** Paragraphs. */
  readonly notes: readonly string[];
  /** Command lines that run as they stand; a longer one is broken by a backslash. */
  readonly examples: readonly string[];
  /** Of one that takes a known number of arguments: what whoever gave it more may have meant, and how it is called. */
  readonly takesNoMore?: string;
}

const HELP = new WeakMap<Command, CommandHelp>();
const COLUMNS = 80;

/** Describes a command. */
export function addHelp(
  command: Command,
  { about, notes = [], examples, ...more }: Omit<CommandHelp, "notes"> & Partial<CommandHelp>,
): Command {
  HELP.set(command, { about, notes, examples, ...more });
  return command.description(about).addHelpText("after", () => {
    const paragraphs = notes.map((note) => `\n${wrap(note)}`);
    const lines = examples.map((example) => `  ${example.replaceAll("\n", "\n  ")}`);
    return [...paragraphs, ...(lines.length === 0 ? [] : [`\nExamples:\n${lines.join("\n")}`])].join("\n");
  });
}

export function helpOf(command: Command): CommandHelp {
  return HELP.get(command) ?? { about: command.description(), notes: [], examples: [] };
}

function wrap(text: string): string {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.at(-1) ?? "";
    if (last !== "" && last.length + 1 + word.length > COLUMNS) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.join("\n");
}
