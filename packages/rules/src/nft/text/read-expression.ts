import { typesOf, UNKNOWN_TYPE } from "../data-types.ts";
import type { NftElement, NftExpression, NftFamily, NftSet, NftSetReference } from "../nft-rule-set.ts";
import { FLAG_TYPES } from "../symbols.ts";
import { formatWord, NftFault, type NftWords } from "./nft-words.ts";
import { readElements } from "./read-elements.ts";
import { readOtherExpression } from "./read-other-expression.ts";
import { readCount, readFlags, readValue } from "./read-value.ts";

/** What reading a rule needs to know of its table. */
export interface TableWords {
  readonly family: NftFamily;
  setOf(name: string): NftSet | undefined;
}

const OPERATORS: ReadonlyMap<string, "&" | "|" | "^" | "<<" | ">>"> = new Map([
  ["&", "&"],
  ["and", "&"],
  ["|", "|"],
  ["or", "|"],
  ["^", "^"],
  ["xor", "^"],
  ["<<", "<<"],
  [">>", ">>"],
]);

/** From the loosest to the tightest. */
const LEVELS: readonly (readonly string[])[] = [["|"], ["^"], ["&"], ["<<", ">>"]];

/** Header names of which nft reads fields. */
const HEADERS: ReadonlySet<string> = new Set([
  ...["ip", "ip6", "tcp", "udp", "udplite", "sctp", "dccp", "th", "icmp", "icmpv6", "igmp"],
  ...["ether", "vlan", "arp", "ah", "esp", "comp"],
]);

/** Keys of `meta` that nft prints without the word. */
const BARE_META: ReadonlySet<string> = new Set([
  ...["iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup", "iiftype", "oiftype", "ibrname", "obrname"],
  ...["mark", "skuid", "skgid", "nftrace", "rtclassid", "cgroup", "cpu", "pkttype", "sdif", "sdifname"],
]);

/**
 * Reads an expression: `ip daddr . th dport`, `meta mark & 0x4000`, `numgen random mod 2 map { … }`.
 *
 * @param hint the types of the values that it may be, where it is one
 * @throws NftFault
 */
export function readExpression(words: NftWords, table: TableWords, hint: readonly string[] = []): NftExpression {
  const key = readConcat(words, table, hint);
  if (!words.skip("map")) return key;
  return { kind: "lookup", key, map: readSetReference(words, table, { key, dataTypes: hint }) };
}

export function readConcat(words: NftWords, table: TableWords, hint: readonly string[] = []): NftExpression {
  const first = readBinary(words, table, { hint: hint[0], level: 0 });
  if (words.peek !== ".") return first;
  const parts = [first];
  while (words.skip(".")) parts.push(readBinary(words, table, { hint: hint[parts.length], level: 0 }));
  if (!parts.every((part) => part.kind === "literal")) return { kind: "concat", parts };
  return { kind: "literal", parts: parts.flatMap((part) => part.parts) };
}

interface Reading {
  readonly hint: string | undefined;
  readonly level: number;
}

function readBinary(words: NftWords, table: TableWords, { hint, level }: Reading): NftExpression {
  const operators = LEVELS[level];
  if (operators === undefined) return readPrimary(words, table, hint);
  let left = readBinary(words, table, { hint, level: level + 1 });
  for (;;) {
    const operator = OPERATORS.get(words.peek);
    if (operator === undefined || !operators.includes(operator)) return left;
    words.next();
    const [type] = typesOf(left, (name) => table.setOf(name));
    const right = readBinary(words, table, { hint: type ?? hint, level: level + 1 });
    left = { kind: "bitwise", operator, left, right };
  }
}

function readPrimary(words: NftWords, table: TableWords, hint: string | undefined): NftExpression {
  const word = words.peek;
  if (word === "(") {
    words.next();
    const inner = readFlagsOr(words, table, hint);
    words.expect(")");
    return inner;
  }
  if (word === "meta") {
    words.next();
    return { kind: "meta", key: words.next() };
  }
  if (word === "ct") return readCt(words, table);
  if (word === "fib") return readFib(words);
  if (word === "numgen") return readNumgen(words);
  if (word === "jhash" || word === "symhash") return readHash(words, table);
  if (word.startsWith("@")) return readBits(words);
  const other = readOtherExpression(words);
  if (other !== undefined) return other;
  if (HEADERS.has(word)) {
    words.next();
    const field = words.next();
    if (!/^[a-z][a-z0-9-]*$/.test(field)) throw new NftFault(`${formatWord(field)} is not a field of ${word}`);
    return { kind: "payload", header: word, field };
  }
  if (BARE_META.has(word)) {
    words.next();
    return { kind: "meta", key: word };
  }
  return { kind: "literal", parts: [readValue(words, hint ?? UNKNOWN_TYPE)] };
}

/** In parentheses flags may be listed with commas too. */
function readFlagsOr(words: NftWords, table: TableWords, hint: string | undefined): NftExpression {
  if (hint === undefined || !FLAG_TYPES.has(hint)) return readBinary(words, table, { hint, level: 0 });
  return { kind: "literal", parts: [readFlags(words, hint)] };
}

function readCt(words: NftWords, { family }: TableWords): NftExpression {
  words.next();
  const first = words.next();
  const direction = first === "original" || first === "reply" ? first : undefined;
  let key = direction === undefined ? first : words.next();
  if (key === "ip" || key === "ip6") key = `${key} ${words.next()}`;
  if (key === "saddr" || key === "daddr") key = `${family === "ip6" ? "ip6" : "ip"} ${key}`;
  // `ct bytes original`: the direction may stand behind, too.
  const behind = words.peek;
  const isCount = key === "bytes" || key === "packets" || key === "avgpkt";
  if (!isCount || direction !== undefined || (behind !== "original" && behind !== "reply"))
    return { kind: "ct", key, ...(direction === undefined ? {} : { direction }) };
  words.next();
  return { kind: "ct", key, direction: behind };
}

function readFib(words: NftWords): NftExpression {
  words.next();
  const flags = [words.next()];
  while (words.skip(".")) flags.push(words.next());
  return { kind: "fib", flags, result: words.next() };
}

function readNumgen(words: NftWords): NftExpression {
  words.next();
  const mode = words.next();
  if (mode !== "random" && mode !== "inc") throw new NftFault(`${formatWord(mode)} is not a way to count`);
  words.expect("mod");
  const modulus = readCount(words);
  return { kind: "numgen", mode, modulus, offset: words.skip("offset") ? readCount(words) : 0 };
}

function readHash(words: NftWords, table: TableWords): NftExpression {
  const of = words.next() === "jhash" ? readConcat(words, table) : undefined;
  words.expect("mod");
  const modulus = readCount(words);
  const seed = words.skip("seed") ? readCount(words) : undefined;
  const offset = words.skip("offset") ? readCount(words) : 0;
  if (of === undefined) return { kind: "symhash", modulus, offset };
  return { kind: "jhash", of, modulus, ...(seed === undefined ? {} : { seed }), offset };
}

/** `@th,16,16`: the commas are words of their own. */
function readBits(words: NftWords): NftExpression {
  const base = words.next().slice(1);
  words.expect(",");
  const offset = readCount(words);
  words.expect(",");
  return { kind: "bits", base, offset, length: readCount(words) };
}

/** `@name` or `{ … }`. */
export function readSetReference(
  words: NftWords,
  table: TableWords,
  { key, dataTypes }: { readonly key: NftExpression; readonly dataTypes?: readonly string[] | undefined },
): NftSetReference {
  if (words.peek.startsWith("@")) return { kind: "named", name: words.next().slice(1) };
  const keyTypes = typesOf(key, (name) => table.setOf(name));
  const elements: NftElement[] = [];
  readElements(words, { keyTypes, dataTypes: dataTypes ?? [] }, elements);
  return { kind: "anonymous", elements };
}
