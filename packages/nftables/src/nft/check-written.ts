import type { Family } from "@svcproxy/topology";
import { isSameFrame, type WrittenTable } from "../change/written-table.ts";
import { formatElement, tableName } from "../table/format-table.ts";
import type { Collection } from "../table/nft-table.ts";
import { parseTable } from "../table/parse-table.ts";

/**
 * What `nft -c -spt -f -`, which changes nothing, has the kernel compare with a table: what was added can be added again only where it
 * is not there with another value, what was removed can be created only where it is gone. It ends with a listing of the rules, which no
 * other command of nft 1.0.6 prints without reading all elements.
 *
 * @param withRules whether that listing is asked for
 */
export function sameValuesCheck(written: WrittenTable, { withRules }: { readonly withRules: boolean }): string {
  const { family, added, removed, collections } = written;
  const table = tableName(family);
  const text: string[] = [];
  for (const [collection, elements] of added) {
    if (elements.size === 0) continue;
    const lines = Array.from(elements, ([key, value]) => formatElement(key, value));
    text.push(`add element ${table} ${collection} {\n${lines.join(",\n")}\n}`);
  }
  for (const collection of collections) {
    const keys = removed.get(collection.name);
    // Ranges that others took the place of cannot be created again.
    if (keys === undefined || keys.size === 0 || collection.flags === "interval") continue;
    const value = { data: anyData(collection, family), comment: "" };
    const lines = Array.from(keys, (key) => formatElement(key, value));
    text.push(`create element ${table} ${collection.name} {\n${lines.join(",\n")}\n}`);
  }
  if (withRules) text.push(`list ruleset ${table.split(" ")[0]}`);
  return text.map((command) => `${command}\n`).join("");
}

/** What `nft -c -f -` has the kernel look for: only what is there can be deleted. Empty where nothing was added. */
export function presenceCheck({ family, added }: WrittenTable): string {
  return [...added]
    .filter(([, { size }]) => size > 0)
    .map(
      ([collection, elements]) =>
        `delete element ${tableName(family)} ${collection} {\n${[...elements.keys()].join(",\n")}\n}\n`,
    )
    .join("");
}

/** Something that a map of this type may lead to. */
function anyData({ typeOf }: Collection, family: Family): string {
  const [, data] = typeOf.split(" : ");
  if (data === undefined) return "";
  if (data === "verdict") return "drop";
  if (data === "meta priority") return "0:1";
  return `${family === 4 ? "192.0.2.1" : "2001:db8::1"} . 1`;
}

/** @param listing what `list ruleset` printed, with the tables of others */
export function hasRulesOf(written: WrittenTable, listing: string): boolean {
  const start = listing.indexOf(`table ${tableName(written.family)} {\n`);
  if (start < 0) return false;
  const end = listing.indexOf("\n}\n", start);
  return isSameFrame(parseTable(listing.slice(start, end < 0 ? undefined : end + 1), written.family), written);
}
