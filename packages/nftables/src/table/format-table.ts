import type { Family } from "@svcproxy/topology";
import { formatDuration } from "./duration.ts";
import { type Chain, type Collection, type ElementValue, type NftTable, TABLE, TABLE_COMMENT } from "./nft-table.ts";

/** The family's word before the name of the table. */
export function tableName(family: Family): string {
  return `${family === 4 ? "ip" : "ip6"} ${TABLE}`;
}

/** Text that `nft -f` loads where the table is not there yet: a piece for each map, set and chain. */
export function* formatTable(table: NftTable): Generator<string> {
  yield `table ${tableName(table.family)} {\n\tcomment "${TABLE_COMMENT}"\n`;
  for (const collection of table.collections) {
    yield `\n\t${collection.kind} ${collection.name} {\n`;
    yield* lines(collectionLines(collection));
    const elements = table.elements.get(collection.name);
    if (elements !== undefined && elements.size > 0) yield `\t\telements = {\n${elementLines(elements)}\n\t\t}\n`;
    yield "\t}\n";
  }
  for (const chain of table.chains) {
    yield `\n\tchain ${chain.name} {\n`;
    yield* lines([...chainLines(chain), ...chain.rules]);
    yield "\t}\n";
  }
  yield "}\n";
}

function* lines(texts: readonly string[]): Generator<string> {
  for (const text of texts) yield `\t\t${text}\n`;
}

/** A declaration, a line for each of its parts, as nft lists them. */
export function collectionLines({ typeOf, counts, flags, size, timeoutSeconds, comment }: Collection): string[] {
  return [
    `typeof ${typeOf}`,
    ...(size === undefined ? [] : [`size ${size}`]),
    ...(flags === undefined ? [] : [`flags ${flags}`]),
    ...(counts ? ["counter"] : []),
    ...(timeoutSeconds === undefined ? [] : [`timeout ${formatDuration(timeoutSeconds)}`]),
    `comment "${comment}"`,
  ];
}

/** What stands before a chain's rules. */
export function chainLines({ comment, hook }: Chain): string[] {
  return [
    ...(comment === undefined ? [] : [`comment "${comment}"`]),
    ...(hook === undefined ? [] : [`type ${hook.type} hook ${hook.hook} priority ${hook.priority}; policy accept;`]),
  ];
}

/** One element a line; in order of their keys as text, so that equal tables print alike. */
function elementLines(elements: ReadonlyMap<string, ElementValue>): string {
  return [...elements.keys()]
    .sort()
    .map((key) => `\t\t\t${formatElement(key, elements.get(key))}`)
    .join(",\n");
}

/** `key comment "…" : data`, as nft reads and lists it. */
export function formatElement(key: string, value: ElementValue | undefined): string {
  if (value === undefined) return key;
  const { data, comment } = value;
  return `${key}${comment === "" ? "" : ` comment "${comment}"`}${data === "" ? "" : ` : ${data}`}`;
}
