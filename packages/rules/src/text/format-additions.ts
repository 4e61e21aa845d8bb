import type { Family } from "@svcproxy/topology";
import type { Chain, Rule } from "../rule-set.ts";
import { formatRule } from "./format-rule.ts";
import type { FormatOptions } from "./format-style.ts";
import { quoteWord } from "./format-style.ts";
import type { Command } from "./parse-command.ts";

/**
 * What is added to one table: first the new chains, then rules above those of a chain, then rules below them. Iterables, since
 * of a large cluster there is half a million of rules and whoever prints them needs one at a time.
 */
export interface TableAdditions {
  readonly table: string;
  readonly newChains?: Iterable<string>;
  readonly inserted?: readonly InsertedRule[];
  /** The rules below those that a chain, new or not, has already. */
  readonly appended?: Iterable<Chain>;
}

export interface InsertedRule {
  readonly chain: string;
  /** 1-based, as in `-I CHAIN 1`. */
  readonly position: number;
  readonly rule: Rule;
}

/** What adding is one step at a time. */
export type AddingCommand = Extract<Command, { kind: "newChain" | "append" | "insert" }>;

/** The additions as commands, in their order. */
export function* addingCommands(additions: TableAdditions): Generator<AddingCommand> {
  const { table, newChains = [], inserted = [], appended = [] } = additions;
  for (const chain of newChains) yield { kind: "newChain", table, chain };
  for (const { chain, position, rule } of inserted) yield { kind: "insert", table, chain, position, rule };
  for (const { name: chain, rules } of appended) for (const rule of rules) yield { kind: "append", table, chain, rule };
}

/** Characters that are handed on together; more, where one chain has more. */
const CHUNK_LENGTH = 64 * 1024;

/**
 * The additions as input for `iptables-restore --noflush`, piece by piece; each table in one transaction: the new chains
 * first, which are emptied where they exist already, then the rules in their order. Tables come in the order of their
 * first addition. Each iterable is walked through once.
 *
 * @throws RangeError where a word other than a comment holds a line break, which iptables-restore cannot read
 */
export function* formatRestoreChunks(
  additions: readonly TableAdditions[],
  { family }: { readonly family: Family },
): Generator<string> {
  const options: FormatOptions = { style: "restore", family };
  for (const table of new Set(additions.map((addition) => addition.table))) {
    const own = additions.filter((addition) => addition.table === table);
    let chunk = `*${table}\n`;
    for (const { newChains = [] } of own) {
      for (const chain of newChains) {
        chunk += `:${chain} - [0:0]\n`;
        if (chunk.length < CHUNK_LENGTH) continue;
        yield chunk;
        chunk = "";
      }
    }
    for (const { inserted = [], appended = [] } of own) {
      for (const { chain, position, rule } of inserted) {
        chunk += ruleLine(`-I ${quoteWord(chain, options)} ${position}`, rule, options);
      }
      for (const chain of appended) {
        chunk += chainLines(chain, options);
        if (chunk.length < CHUNK_LENGTH) continue;
        yield chunk;
        chunk = "";
      }
    }
    yield `${chunk}COMMIT\n`;
  }
}

function chainLines({ name, rules }: Chain, options: FormatOptions): string {
  const head = `-A ${quoteWord(name, options)}`;
  let lines = "";
  for (const rule of rules) lines += ruleLine(head, rule, options);
  return lines;
}

function ruleLine(head: string, rule: Rule, options: FormatOptions): string {
  const text = formatRule(rule, options);
  return text === "" ? `${head}\n` : `${head} ${text}\n`;
}
