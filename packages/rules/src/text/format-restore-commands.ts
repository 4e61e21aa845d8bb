import type { Family } from "@svcproxy/topology";
import type { Command } from "../rule-set.ts";
import { formatRule } from "./format-rule.ts";
import type { FormatOptions } from "./format-style.ts";
import { quoteWord } from "./format-style.ts";

/** A command that `iptables-restore` can take; it empties and deletes by other means. */
export type RestoreCommand = Extract<Command, { kind: "newChain" | "append" | "insert" }>;

/** Lines that are handed on together. */
const CHUNK_LINES = 1000;

/**
 * The commands as input for `iptables-restore --noflush`, piece by piece; each table in one transaction: the new chains
 * first, which are emptied where they exist already, then the rules in their order. Tables come in the order of their
 * first command.
 *
 * @param commands walked through once to find the tables, and once for each of them
 * @throws RangeError where a word other than a comment holds a line break, which iptables-restore cannot read
 */
export function* formatRestoreChunks(
  commands: Iterable<RestoreCommand>,
  { family }: { readonly family: Family },
): Generator<string> {
  const options: FormatOptions = { style: "restore", family };
  const chains = new Map<string, string[]>();
  for (const { table, kind, chain } of commands) {
    let names = chains.get(table);
    if (names === undefined) {
      names = [];
      chains.set(table, names);
    }
    if (kind === "newChain") names.push(chain);
  }
  for (const [table, names] of chains) {
    yield `*${table}\n`;
    yield* inChunks(names, (name) => `:${name} - [0:0]\n`);
    yield* inChunks(commands, (command) => (command.table === table ? ruleLine(command, options) : ""));
    yield "COMMIT\n";
  }
}

function* inChunks<Item>(items: Iterable<Item>, format: (item: Item) => string): Generator<string> {
  let chunk = "";
  let count = 0;
  for (const item of items) {
    chunk += format(item);
    if (++count % CHUNK_LINES > 0) continue;
    yield chunk;
    chunk = "";
  }
  if (chunk !== "") yield chunk;
}

function ruleLine(command: RestoreCommand, options: FormatOptions): string {
  if (command.kind === "newChain") return "";
  const chain = quoteWord(command.chain, options);
  const head = command.kind === "append" ? `-A ${chain}` : `-I ${chain} ${command.position}`;
  const rule = formatRule(command.rule, options);
  return rule === "" ? `${head}\n` : `${head} ${rule}\n`;
}
