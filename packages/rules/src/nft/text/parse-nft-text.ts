import { type Fault, InputError } from "@svcproxy/topology";
import { NFT_FAMILIES, type NftFamily, type NftRuleSet, type NftTable } from "../nft-rule-set.ts";
import { TableBuilder } from "../table-builder.ts";
import { formatWord, NftFault, NftWords } from "./nft-words.ts";
import { readChain } from "./read-chain.ts";
import { addElements, readSet } from "./read-set.ts";

export interface ParseNftOptions {
  /** Name of the text in error messages. */
  readonly file?: string;
}

/**
 * Reads what `nft list ruleset` prints (with `-a`, `-s` or without), and files for `nft -f` that declare tables and add
 * elements to their sets. A rule that is not understood is kept, from the word on that is not.
 *
 * @throws InputError NFT_SYNTAX where the text is cut off or no listing
 */
export function parseNftText(text: string, { file = "rules" }: ParseNftOptions = {}): NftRuleSet {
  const words = new NftWords(text);
  const tables = new Map<string, TableBuilder>();
  try {
    for (words.skipNewlines(); words.peek !== ""; skipEnds(words)) readCommand(words, tables);
  } catch (error) {
    if (!(error instanceof NftFault)) throw error;
    throw new InputError([fault(error, { file, line: words.lineAt(words.start) })]);
  }
  return { tables: [...tables.values()].map((table): NftTable => table.build()) };
}

function fault(error: NftFault, at: { file: string; line: number }): Fault {
  return {
    severity: "error",
    code: "NFT_SYNTAX",
    message: `Cannot read the nftables rules: ${error.message}`,
    at: { ...at, column: 1 },
    hint: "Save them with: sudo nft list ruleset > rules.nft",
  };
}

function skipEnds(words: NftWords): void {
  while (words.skip("\n") || words.skip(";"));
}

function readCommand(words: NftWords, tables: Map<string, TableBuilder>): void {
  const head = words.next();
  const command = head === "table" ? "add" : head;
  if (command !== "add" && command !== "delete" && command !== "flush")
    throw new NftFault(`a table is expected before ${formatWord(head)}`);
  const what = head === "table" ? head : words.next();
  if (what === "ruleset") {
    if (command === "flush") tables.clear();
    return;
  }
  if (what !== "table" && !(command === "add" && what === "element"))
    throw new NftFault(`${formatWord(`${head} ${what}`)} is nothing that a listing has`);
  const family = readFamily(words);
  const name = words.next();
  const key = `${family} ${name}`;
  if (command === "delete") {
    tables.delete(key);
    return;
  }
  const table = tables.get(key) ?? new TableBuilder(family, name);
  if (what === "element") {
    const set = table.setOf(words.next());
    if (set === undefined) throw new NftFault(`elements are added to a set of table ${key} that it does not declare`);
    table.addSet(addElements(words, set));
    return;
  }
  tables.set(key, table);
  if (words.peek === "{") readTable(words, table);
}

function readFamily(words: NftWords): NftFamily {
  const family = NFT_FAMILIES.find((one) => one === words.peek);
  // nft takes ip where no family is named.
  if (family === undefined) return "ip";
  words.next();
  return family;
}

/** Things of a table that do nothing by themselves: rules name them. */
const OBJECTS: ReadonlySet<string> = new Set([
  ...["counter", "quota", "limit", "ct", "secmark", "synproxy", "flowtable", "tunnel"],
]);

function readTable(words: NftWords, table: TableBuilder): void {
  words.expect("{");
  for (;;) {
    skipEnds(words);
    if (words.skip("}")) return;
    const before = words.mark();
    const head = words.next();
    if (head === "") throw new NftFault(`table ${table.family} ${table.name} has no end: the text is cut off`);
    if (head === "set" || head === "map") table.addSet(readSet(words, table, head));
    else if (head === "chain") table.addChain(readChain(words, table));
    else if (head === "flags") readFlags(words, table);
    else if (head === "comment") words.skipLine();
    else {
      while (words.peek !== "{" && !words.isAtLineEnd) words.next();
      if (words.peek === "{") words.skipBlock();
      if (!OBJECTS.has(head)) table.addUnread(words.slice(before, words.end), "the word is not known");
    }
  }
}

function readFlags(words: NftWords, table: TableBuilder): void {
  do if (words.next() === "dormant") table.isDormant = true;
  while (words.skip(","));
}
