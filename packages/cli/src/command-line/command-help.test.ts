import type { Command } from "commander";
import { expect, test } from "vitest";
import { buildProgram } from "../program.ts";
import { runInMemory } from "../testing/memory-context.ts";
import { helpOf } from "./command-help.ts";

function withSubcommands(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** Those that people use: workers and the like are hidden. */
const commands = withSubcommands(
  buildProgram(async () => {}, { getOutHelpWidth: () => 80, getErrHelpWidth: () => 80, getOutHasColors: () => false }),
).filter((command) => !["supervise", "worker", "findings", "dial"].includes(command.name()));

/** All that `--help` prints. */
function textOf(command: Command): string {
  let text = "";
  command.configureOutput({ getOutHelpWidth: () => 80, writeOut: (part) => (text += part) }).outputHelp();
  return text;
}

test.for(commands.map((command) => [fullName(command), command] as const))(
  "the help of %s has examples and fits into 80 columns",
  ([, command]) => {
    const text = textOf(command);
    if (command.parent !== null) expect(text).toMatch(/^Examples:\n {2}\S/m);
    expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
    for (const { flags } of command.options) expect(text).toContain(flags);
  },
);

test("examples name commands and flags that exist", () => {
  for (const command of commands) {
    for (const example of helpOf(command).examples) {
      for (const [, line = ""] of example.matchAll(/(?<!\S)svcproxy ((?:[^|>#]|\\\n)*)/g))
        expect(() => parseLine(line), example).not.toThrow();
    }
  }
});

const bounded = commands.filter(
  ({ commands: below, parent, registeredArguments }) =>
    parent !== null && below.length === 0 && registeredArguments.at(-1)?.variadic !== true,
);

test.for(bounded.map((command) => [fullName(command), command] as const))(
  "%s tells whoever gives it more than it takes what it does, and how it is called",
  async ([name, command]) => {
    const flags = command.options.filter(({ mandatory }) => mandatory).flatMap(({ long }) => [long ?? "", "10.0.0.1"]);
    const taken = command.registeredArguments.map(({ argChoices = ["word"] }) => argChoices[0] ?? "word");
    const argv = [...name.split(" ").slice(1), ...taken, "Web.yaml", ...flags];
    const { exitCode, stdout, stderr } = await runInMemory(argv);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(
      new RegExp(`^error: ${name} takes .*, and nothing can be made of "Web\\.yaml"\n  hint: \\S.*`),
    );
  },
);

/** Parses a command line as the program would, without running anything. */
function parseLine(line: string): void {
  const program = buildProgram(async () => {}, { writeErr: () => {} });
  program.parse(line.replaceAll("\\\n", " ").trim().split(/\s+/), { from: "user" });
}

function fullName(command: Command): string {
  const names: string[] = [];
  for (let each: Command | null = command; each !== null; each = each.parent) names.unshift(each.name());
  return names.join(" ");
}
