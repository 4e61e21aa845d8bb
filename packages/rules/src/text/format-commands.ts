import type { Family } from "@svcproxy/topology";
import { unreachable } from "@svcproxy/topology";
import type { Rule } from "../rule-set.ts";
import { formatRule } from "./format-rule.ts";
import { quoteWord } from "./format-style.ts";
import type { Command } from "./parse-command.ts";

export interface CommandFormat {
  readonly family: Family;
}

/** One line a command, for any POSIX shell. */
export function formatCommands(commands: Iterable<Command>, format: CommandFormat): string {
  let text = "";
  for (const command of commands) text += `${formatCommand(command, format)}\n`;
  return text;
}

/** `iptables -t TABLE …` without a line end. A word with line breaks in quotes makes it more than one line. */
export function formatCommand(command: Command, { family }: CommandFormat): string {
  const options = { style: "command", family } as const;
  const word = (text: string) => quoteWord(text, options);
  const start = `${family === 4 ? "iptables" : "ip6tables"} -t ${word(command.table)}`;
  const withRule = (head: string, rule: Rule) => {
    const text = formatRule(rule, options);
    return text === "" ? head : `${head} ${text}`;
  };
  switch (command.kind) {
    case "newChain":
      return `${start} -N ${word(command.chain)}`;
    case "append":
      return withRule(`${start} -A ${word(command.chain)}`, command.rule);
    case "insert":
      return withRule(`${start} -I ${word(command.chain)} ${command.position}`, command.rule);
    case "delete":
      return withRule(`${start} -D ${word(command.chain)}`, command.rule);
    case "deleteAt":
      return `${start} -D ${word(command.chain)} ${command.position}`;
    case "replace":
      return withRule(`${start} -R ${word(command.chain)} ${command.position}`, command.rule);
    case "flush":
      return command.chain === undefined ? `${start} -F` : `${start} -F ${word(command.chain)}`;
    case "deleteChain":
      return command.chain === undefined ? `${start} -X` : `${start} -X ${word(command.chain)}`;
    case "policy":
      return `${start} -P ${word(command.chain)} ${command.policy}`;
    default:
      return unreachable(command);
  }
}
