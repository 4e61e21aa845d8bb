import { typesOf, UNKNOWN_TYPE } from "../data-types.ts";
import { fibPresence } from "../fib-presence.ts";
import type { NftComparison, NftExpression, NftFamily, NftOperand, NftStatement } from "../nft-rule-set.ts";
import { FLAG_TYPES } from "../symbols.ts";
import { readIptablesMark } from "./iptables-mark.ts";
import { formatWord, NftFault, type NftWords } from "./nft-words.ts";
import { readClause, readConnectionCount } from "./read-clause.ts";
import { readParts, readVerdict } from "./read-elements.ts";
import { readConcat, readExpression, readSetReference, type TableWords } from "./read-expression.ts";
import { readNat, readNatFlags } from "./read-nat.ts";
import { readUpdate } from "./read-update.ts";
import { readFlags } from "./read-value.ts";

/**
 * Reads one statement of a rule.
 *
 * @throws NftFault where it is none that we know
 */
export function readStatement(words: NftWords, table: TableWords): NftStatement {
  const verdict = readVerdict(words);
  if (verdict !== undefined) return { kind: "verdict", verdict };
  const word = words.peek;
  switch (word) {
    case "counter":
      return readCounter(words);
    case "limit":
    case "quota":
    case "log":
    case "last":
    case "flow":
    case "dup":
      return readClause(words, word);
    case "reject":
      return readReject(words, table);
    case "notrack":
      words.next();
      return { kind: "notrack" };
    case "dnat":
    case "snat":
      return readNat(words, table, word);
    case "masquerade":
    case "redirect": {
      words.next();
      const ports = words.skip("to") ? readPorts(words, table) : undefined;
      return { kind: word, ...(ports === undefined ? {} : { ports }), ...readNatFlags(words) };
    }
    case "add":
    case "update":
    case "delete":
      return readUpdate(words, table, word);
    case "queue":
    case "tproxy":
    case "synproxy":
    case "fwd":
      return { kind: "handover", text: restOfLine(words) };
    case "xt":
      return readXt(words);
    case "ct":
      return readConnectionCount(words) ?? readCondition(words, table);
    default:
      return readCondition(words, table);
  }
}

/** What `xt match` does besides answering: of these alone an answer is not all. */
const CHANGING_MATCHES: ReadonlySet<string> = new Set(["socket", "connlabel"]);

/** iptables' own extensions are known to a listing by their names only: a condition is one that nobody can answer. */
function readXt(words: NftWords): NftStatement {
  words.next();
  const type = words.next();
  const name = unquoted(words.next());
  if (type === "match" && name === "comment") return { kind: "inert", text: "xt match comment" };
  if (type === "match" && !CHANGING_MATCHES.has(name)) return { kind: "gate", text: `xt match ${name}` };
  throw new NftFault("iptables' own extensions are known to a listing by their names only");
}

/** `:80-90` of masquerade and redirect. */
function readPorts(words: NftWords, table: TableWords): NftExpression {
  const word = words.peek;
  if (!word.startsWith(":")) return readExpression(words, table, ["inet_service"]);
  if (word === ":") words.next();
  else words.shift(1);
  return readExpression(words, table, ["inet_service"]);
}

function readCounter(words: NftWords): NftStatement {
  words.next();
  if (words.skip("name")) return { kind: "counter", name: unquoted(words.next()) };
  if (!words.skip("packets")) return { kind: "counter" };
  const packets = BigInt(words.next());
  words.expect("bytes");
  return { kind: "counter", packets, bytes: BigInt(words.next()) };
}

function unquoted(word: string): string {
  return word.startsWith('"') ? word.slice(1) : word;
}

function restOfLine(words: NftWords): string {
  const start = words.start;
  let end = start;
  while (!words.isAtLineEnd && words.peek !== "comment") {
    words.next();
    end = words.end;
  }
  return words.slice(start, end);
}

/** What `reject` alone says, as nft's JSON has it. */
const PLAIN_REJECT: Readonly<Partial<Record<NftFamily, string>>> = {
  ip: "icmp port-unreachable",
  ip6: "icmpv6 port-unreachable",
};

function readReject(words: NftWords, { family }: TableWords): NftStatement {
  words.next();
  if (!words.skip("with")) return { kind: "reject", with: PLAIN_REJECT[family] ?? "icmpx port-unreachable" };
  const protocol = words.next();
  words.skip("type");
  return { kind: "reject", with: `${protocol} ${words.next()}` };
}

/** Set on a connection without consequence for where its packets go: what a helper expects is RELATED, whichever it is. */
const INERT_CT: ReadonlySet<string> = new Set([...["event", "label", "secmark", "helper", "timeout", "expectation"]]);

/** `new,destroy`, `"ftp-standard"`. */
function readList(words: NftWords): string {
  const items = [words.next()];
  while (words.skip(",")) items.push(words.next());
  return items.map(unquoted).join(",");
}

const COMPARISONS: ReadonlyMap<string, NftComparison> = new Map([
  ["==", "=="],
  ["!=", "!="],
  ["<", "<"],
  [">", ">"],
  ["<=", "<="],
  [">=", ">="],
  ["!", "none"],
]);

/** `EXPRESSION vmap …`, `EXPRESSION set …`, `EXPRESSION [comparison] value`. */
function readCondition(words: NftWords, table: TableWords): NftStatement {
  const start = words.peek;
  const left = readConcat(words, table);
  if (left.kind === "literal") throw new NftFault(`the statement ${formatWord(start)} is not known`);
  const types = typesOf(left, (name) => table.setOf(name));
  if (words.skip("vmap"))
    return { kind: "vmap", key: left, map: readSetReference(words, table, { key: left, dataTypes: ["verdict"] }) };
  if (words.skip("set")) {
    if (left.kind === "ct" && INERT_CT.has(left.key))
      return { kind: "inert", text: `ct ${left.key} set ${readList(words)}` };
    return { kind: "set", target: left, value: readIptablesMark(words, left) ?? readExpression(words, table, types) };
  }
  const comparison = COMPARISONS.get(words.peek);
  if (comparison !== undefined) words.next();
  const right = readOperand(words, table, { left, types });
  const isFlags = FLAG_TYPES.has(types[0] ?? UNKNOWN_TYPE) && left.kind !== "concat";
  if (isFlags && right.kind === "value" && words.skip("/")) {
    const mask: NftExpression = { kind: "literal", parts: [readFlags(words, types[0] ?? UNKNOWN_TYPE)] };
    return {
      kind: "match",
      left: { kind: "bitwise", operator: "&", left, right: mask },
      comparison: comparison ?? "==",
      right,
    };
  }
  if (left.kind === "fib" && right.kind === "value") {
    const { parts, comparison: asked } = fibPresence(left, comparison ?? "==", right.parts);
    return { kind: "match", left, comparison: asked, right: { kind: "value", parts } };
  }
  const isBare = isFlags && right.kind === "value" && left.kind !== "bitwise";
  return { kind: "match", left, comparison: comparison ?? (isBare ? "any" : "=="), right };
}

function readOperand(
  words: NftWords,
  table: TableWords,
  { left, types }: { readonly left: NftExpression; readonly types: readonly string[] },
): NftOperand {
  if (words.peek === "{" || words.peek.startsWith("@"))
    return { kind: "set", set: readSetReference(words, table, { key: left }) };
  const [type = UNKNOWN_TYPE] = types;
  if (types.length === 1 && FLAG_TYPES.has(type)) return { kind: "value", parts: [readFlags(words, type)] };
  return { kind: "value", parts: readParts(words, left.kind === "other" ? [presenceOr(words, type)] : types) };
}

/** `exists` and `missing` are said of what is there or not. */
function presenceOr(words: NftWords, type: string): string {
  return words.peek === "exists" || words.peek === "missing" ? "boolean" : type;
}
