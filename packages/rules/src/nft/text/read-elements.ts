import { UNKNOWN_TYPE } from "../data-types.ts";
import type { DatumPart, NftData, NftElement, NftVerdict } from "../nft-rule-set.ts";
import { FLAG_TYPES } from "../symbols.ts";
import { formatWord, NftFault, type NftWords } from "./nft-words.ts";
import { readFlags, readValue } from "./read-value.ts";

/** The types of an element's parts. */
export interface ElementTypes {
  readonly keyTypes: readonly string[];
  /** Empty for a set; also where a map's are not known. */
  readonly dataTypes: readonly string[];
}

/**
 * Reads `{ key [timeout …] [counter …] [comment "…"] [: data], … }` and adds what it finds to `elements`.
 *
 * @throws NftFault
 */
export function readElements(words: NftWords, types: ElementTypes, elements: NftElement[]): void {
  words.expect("{");
  const shared = new Map<string, NftData>();
  for (;;) {
    words.skipNewlines();
    if (words.skip("}")) return;
    elements.push(readElement(words, types, shared));
    words.skipNewlines();
    if (words.skip(",")) continue;
    words.expect("}");
    return;
  }
}

function readElement(words: NftWords, { keyTypes, dataTypes }: ElementTypes, shared: Map<string, NftData>): NftElement {
  const key = words.peek === "*" ? catchAll(words) : readParts(words, keyTypes);
  const said = readAttributes(words);
  if (!words.skip(":")) return { key, ...said };
  const data = readData(words, dataTypes, shared);
  return { key, data, ...said, ...readAttributes(words) };
}

function catchAll(words: NftWords): readonly DatumPart[] {
  words.next();
  return [];
}

export function readParts(words: NftWords, types: readonly string[]): readonly DatumPart[] {
  const parts = [readTyped(words, types[0])];
  while (words.skip(".")) parts.push(readTyped(words, types[parts.length]));
  return parts;
}

function readTyped(words: NftWords, type = UNKNOWN_TYPE): DatumPart {
  if (!FLAG_TYPES.has(type)) return readValue(words, type);
  // In a set a comma ends the element, so that flags are joined by `|` only.
  const first = readValue(words, type);
  if (words.peek !== "|") return first;
  words.next();
  const rest = readFlags(words, type);
  if (typeof first !== "number" || typeof rest !== "number") throw new NftFault(`a name of ${type} is not known`);
  return first | rest;
}

/** What else is said of an element: its counters and its comment; how long it stays is passed over. */
function readAttributes(words: NftWords): Pick<NftElement, "counters" | "comment"> {
  let said: Pick<NftElement, "counters" | "comment"> = {};
  for (;;) {
    switch (words.peek) {
      case "timeout":
      case "expires":
        words.next();
        words.next();
        break;
      case "comment":
        words.next();
        said = { ...said, comment: words.next().slice(1) };
        break;
      case "counter":
        words.next();
        if (words.skip("packets")) {
          const packets = Number(words.next());
          words.expect("bytes");
          said = { ...said, counters: { packets, bytes: Number(words.next()) } };
        }
        break;
      case "limit":
      case "quota":
      case "ct":
      case "last":
        skipStateful(words);
        break;
      default:
        return said;
    }
  }
}

function skipStateful(words: NftWords): void {
  while (![",", "}", ":", "\n", "", "comment", "timeout", "expires", "counter"].includes(words.peek)) words.next();
}

const SIMPLE_VERDICTS: ReadonlySet<string> = new Set(["accept", "drop", "continue", "return"]);

/** A verdict where one comes; undefined otherwise. */
export function readVerdict(words: NftWords): NftVerdict | undefined {
  const word = words.peek;
  if (word === "accept" || word === "drop" || word === "continue" || word === "return") {
    words.next();
    return { kind: word };
  }
  if (word !== "jump" && word !== "goto") return undefined;
  words.next();
  const chain = words.next();
  if (!/^[^{}(),;\n"]+$/.test(chain)) throw new NftFault(`${formatWord(chain)} is not a chain's name`);
  return { kind: word, chain };
}

function readData(words: NftWords, dataTypes: readonly string[], shared: Map<string, NftData>): NftData {
  const isVerdict =
    dataTypes[0] === "verdict" ||
    (dataTypes.length === 0 && (SIMPLE_VERDICTS.has(words.peek) || ["jump", "goto"].includes(words.peek)));
  if (!isVerdict) return { kind: "value", parts: readParts(words, dataTypes) };
  const verdict = readVerdict(words);
  if (verdict === undefined) throw new NftFault(`a verdict is expected before ${formatWord(words.peek)}`);
  // Thousands of elements of a map name a handful of verdicts.
  const key = "chain" in verdict ? `${verdict.kind} ${verdict.chain}` : verdict.kind;
  const known = shared.get(key);
  if (known !== undefined) return known;
  const data: NftData = { kind: "verdict", verdict };
  shared.set(key, data);
  return data;
}
