import { chainLines, collectionLines, formatElement, tableName } from "../table/format-table.ts";
import { TABLE_COMMENT } from "../table/nft-table.ts";
import type { Transaction } from "./transaction.ts";

/** Commands for `nft -f -`, which carries out all of them or none. What is removed goes first: keys and names may come again. */
export function formatTransaction(transaction: Transaction): string {
  const table = tableName(transaction.family);
  const { addedChains, rewrittenChains, removedChains, removedCollections, addedCollections } = transaction;
  const text: string[] = [];
  if (transaction.createsTable) text.push(`create table ${table} {\ncomment "${TABLE_COMMENT}"\n}`);
  // Without flags: that wakes it.
  if (transaction.wakesTable === true) text.push(`add table ${table}`);
  for (const name of [...rewrittenChains.map((chain) => chain.name), ...removedChains]) {
    text.push(`flush chain ${table} ${name}`);
  }
  for (const [collection, keys] of transaction.removedElements) {
    text.push(`delete element ${table} ${collection} {\n${[...keys].join(",\n")}\n}`);
  }
  for (const name of removedChains) text.push(`delete chain ${table} ${name}`);
  for (const { kind, name } of removedCollections) text.push(`delete ${kind} ${table} ${name}`);
  for (const collection of addedCollections) {
    const { kind, name } = collection;
    text.push(`add ${kind} ${table} ${name} {\n${collectionLines(collection).join("\n")}\n}`);
  }
  // Rules and elements may name any of them.
  for (const chain of addedChains) text.push(`add chain ${table} ${chain.name} {\n${chainLines(chain).join("\n")}\n}`);
  for (const { name, rules } of [...addedChains, ...rewrittenChains]) {
    for (const rule of rules) text.push(`add rule ${table} ${name} ${rule}`);
  }
  for (const [collection, elements] of transaction.addedElements) {
    const lines = Array.from(elements, ([key, value]) => formatElement(key, value));
    text.push(`add element ${table} ${collection} {\n${lines.join(",\n")}\n}`);
  }
  return text.length === 0 ? "" : `${text.join("\n")}\n`;
}
