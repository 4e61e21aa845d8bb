import { typesOf, UNKNOWN_TYPE } from "../data-types.ts";
import type { NftElement, NftSet, NftUnread } from "../nft-rule-set.ts";
import { formatWord, NftFault, type NftWords } from "./nft-words.ts";
import { readElements } from "./read-elements.ts";
import { readConcat, type TableWords } from "./read-expression.ts";
import { readCount, readDuration } from "./read-value.ts";

/** Reads `set name { … }` or `map name { … }` from its name on. @throws NftFault where it has no type */
export function readSet(words: NftWords, table: TableWords, kind: "set" | "map"): NftSet {
  const name = words.next();
  words.expect("{");
  let types: SetTypes | undefined;
  const flags: string[] = [];
  const elements: NftElement[] = [];
  let timeoutMs: number | undefined;
  let size: number | undefined;
  let unread: NftUnread | undefined;
  for (;;) {
    while (words.skip("\n") || words.skip(";"));
    if (words.skip("}")) break;
    if (words.peek === "") throw new NftFault(`${kind} ${name} has no end`);
    const head = words.next();
    switch (head) {
      case "type":
        types = readTypes(words);
        break;
      case "typeof":
        types = readTypeof(words, table);
        break;
      case "flags":
        do flags.push(words.next());
        while (words.skip(","));
        break;
      case "timeout":
        timeoutMs = readDuration(words.next());
        break;
      case "size":
        size = readCount(words);
        break;
      case "elements":
        unread = readSetElements(words, { types, elements });
        break;
      default:
        words.skipLine();
    }
  }
  if (types === undefined) throw new NftFault(`${kind} ${name} has no type`);
  return {
    name,
    isMap: kind === "map",
    ...types,
    flags,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(size === undefined ? {} : { size }),
    elements,
    isDynamic: flags.includes("dynamic"),
    ...(unread === undefined ? {} : { unread }),
  };
}

interface SetTypes {
  readonly keyTypes: readonly string[];
  readonly dataTypes: readonly string[];
}

/** `ipv4_addr . inet_service : interval ipv4_addr`. */
function readTypes(words: NftWords): SetTypes {
  const keyTypes = readTypeNames(words);
  return { keyTypes, dataTypes: words.skip(":") ? readTypeNames(words) : [] };
}

function readTypeNames(words: NftWords): readonly string[] {
  words.skip("interval");
  const names = [words.next()];
  while (words.skip(".")) names.push(words.next());
  return names;
}

/** `ip daddr . th dport : verdict`. */
function readTypeof(words: NftWords, table: TableWords): SetTypes {
  const typesHere = () => {
    words.skip("interval");
    const expression = readConcat(words, table);
    if (expression.kind === "literal") return expression.parts.map(String);
    return typesOf(expression, (name) => table.setOf(name));
  };
  const keyTypes = typesHere();
  return { keyTypes, dataTypes: words.skip(":") ? typesHere() : [] };
}

/** @returns why they could not be read, where that is so */
function readSetElements(
  words: NftWords,
  { types, elements }: { readonly types: SetTypes | undefined; readonly elements: NftElement[] },
): NftUnread | undefined {
  words.expect("=");
  const before = words.mark();
  try {
    readElements(words, types ?? { keyTypes: [UNKNOWN_TYPE], dataTypes: [] }, elements);
    return undefined;
  } catch (error) {
    if (!(error instanceof NftFault)) throw error;
    const at = words.start;
    words.reset(before);
    words.skipBlock();
    return { text: words.slice(Math.max(before, at - 40), at + 40), because: error.message };
  }
}

/** Reads `{ … }` of `add element`, for a set that is known. */
export function addElements(words: NftWords, set: NftSet): NftSet {
  const elements = [...set.elements];
  const before = words.mark();
  try {
    readElements(words, set, elements);
    return { ...set, elements };
  } catch (error) {
    if (!(error instanceof NftFault)) throw error;
    throw new NftFault(`elements of ${formatWord(set.name)} at ${words.lineAt(before)}: ${error.message}`);
  }
}
