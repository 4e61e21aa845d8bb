import { readPart } from "../data-types.ts";
import type { DatumPart } from "../nft-rule-set.ts";
import { SYMBOLS } from "../symbols.ts";
import { formatWord, NftFault, type NftWords, quoted } from "./nft-words.ts";

/** One value, prefix or range. @throws NftFault */
export function readValue(words: NftWords, type: string): DatumPart {
  const word = words.next();
  const text = quoted(word);
  if (text !== undefined) {
    // Names of numbers may be quoted as well: `iifgroup "default"`.
    if (words.peek !== "-") return SYMBOLS[type] === undefined ? text : (readPart(type, text) ?? text);
    words.next();
    return { from: text, to: quoted(words.next()) ?? "" };
  }
  if (word === "" || /^[{}(),;\n]$/.test(word)) throw new NftFault(`a value is expected before ${formatWord(word)}`);
  const part = readPart(type, word);
  if (part === undefined) throw new NftFault(`${formatWord(word)} is not a value of type ${type}`);
  return part;
}

/** `syn,ack` or `syn | ack`: one number with all of the bits. @throws NftFault */
export function readFlags(words: NftWords, type: string): DatumPart {
  let bits = readValue(words, type);
  while (words.peek === "," || words.peek === "|") {
    words.next();
    const next = readValue(words, type);
    if (typeof bits !== "number" || typeof next !== "number") throw new NftFault(`a name of ${type} is not known`);
    bits |= next;
  }
  return bits;
}

/** A plain number. @throws NftFault */
export function readCount(words: NftWords): number {
  const word = words.next();
  if (!/^(\d+|0x[0-9a-f]+)$/.test(word)) throw new NftFault(`${formatWord(word)} is not a number`);
  return Number(word);
}

const UNITS_MS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** `1h30m5s`, `600s`, `4m59s996ms` in milliseconds. */
export function readDuration(text: string): number | undefined {
  if (!/^(\d+(ms|[dhms]))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count = "0", unit = "s"] of text.matchAll(/(\d+)(ms|[dhms])/g))
    total += Number(count) * (UNITS_MS.get(unit) ?? 0);
  return total;
}
