import type { Family } from "@svcproxy/topology";
import type { Command } from "../rule-set.ts";
import { formatRule } from "./format-rule.ts";
import type { FormatOptions } from "./format-style.ts";
import { quoteWord } from "./format-style.ts";

/** A command that `iptables-restore` can take; it empties and deletes by other means. */
export type RestoreCommand = Extract<Command, { kind: "newChain" | "append" | "insert" }>;

/**
 * The commands as input for `iptables-restore --noflush`, each table in one transaction: the new chains first, which are
 * emptied where they exist already, then the rules in their order. Tables come in the order of their first command.
 *
 * @throws RangeError where a word other than a comment holds a line break, which iptables-restore cannot read
 */
export function formatRestoreCommands(
  commands: Iterable<RestoreCommand>,
  { family }: { readonly family: Family },
): string {
  const options: FormatOptions = { style: "restore", family };
  const tables = new Map<string, { readonly chains: string[]; readonly rules: string[] }>();
  for (const command of commands) {
    let lines = tables.get(command.table);
    if (lines === undefined) {
      lines = { chains: [], rules: [] };
      tables.set(command.table, lines);
    }
    if (command.kind === "newChain") lines.chains.push(`:${command.chain} - [0:0]\n`);
    else lines.rules.push(ruleLine(command, options));
  }
  let text = "";
  for (const [name, { chains, rules }] of tables) text += `*${name}\n${chains.join("")}${rules.join("")}COMMIT\n`;
  return text;
}

function ruleLine(command: Exclude<RestoreCommand, { kind: "newChain" }>, options: FormatOptions): string {
  const chain = quoteWord(command.chain, options);
  const head = command.kind === "append" ? `-A ${chain}` : `-I ${chain} ${command.position}`;
  const rule = formatRule(command.rule, options);
  return rule === "" ? `${head}\n` : `${head} ${rule}\n`;
}
