import { quote } from "@svcproxy/topology";
import type { Command } from "commander";
import { helpOf } from "./command-help.ts";

/** So many words are named, and the rest counted. */
const NAMED_WORDS = 4;

/** Lets a command and those below it run `refuseMoreWords`, which says more than commander's "too many arguments". */
export function acceptMoreWords(command: Command): void {
  command.allowExcessArguments();
  for (const subcommand of command.commands) acceptMoreWords(subcommand);
}

/**
 * `svcproxy cleanup web.yaml`: what another command takes says nothing to this one, and perhaps something else was meant.
 *
 * @throws CommanderError where there are more words than the command takes
 */
export function refuseMoreWords(command: Command): void {
  const { registeredArguments, args } = command;
  if (registeredArguments.at(-1)?.variadic === true) return;
  const more = args.slice(registeredArguments.length);
  if (more.length === 0) return;
  const { takesNoMore } = helpOf(command);
  const named = more.slice(0, NAMED_WORDS).map(quote).join(", ");
  const rest = more.length > NAMED_WORDS ? ` and ${more.length - NAMED_WORDS} more` : "";
  const taken = registeredArguments.map((argument) => `<${argument.name()}>`).join(" ");
  const what = taken === "" ? "takes no arguments" : `takes ${taken} alone`;
  const hint = takesNoMore === undefined ? "" : `\n  hint: ${takesNoMore}`;
  command.error(`error: ${pathOf(command)} ${what}, and nothing can be made of ${named}${rest}${hint}`);
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}
