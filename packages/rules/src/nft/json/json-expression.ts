import { typesOf } from "../data-types.ts";
import type { NftExpression, NftSet, NftSetReference } from "../nft-rule-set.ts";
import { elementsOf, partOf, partsOf } from "./json-parts.ts";
import {
  isObject,
  JsonFault,
  type JsonObject,
  numberIn,
  objectIn,
  onlyProperty,
  shown,
  textIn,
  textsIn,
} from "./json-value.ts";

/** What reading a rule needs to know of its table. */
export type SetOf = (name: string) => NftSet | undefined;

const OPERATORS: readonly string[] = ["&", "|", "^", "<<", ">>"];

/**
 * Reads an expression of nft's JSON.
 *
 * @param hint the types of the values that it may be, where it is one
 * @throws JsonFault
 */
export function expressionOf(value: unknown, setOf: SetOf, hint: readonly string[] = []): NftExpression {
  if (!isObject(value)) return { kind: "literal", parts: [partOf(value, hint[0])] };
  const [kind, content] = onlyProperty(value);
  switch (kind) {
    case "payload":
      return payloadOf(objectIn(content, kind));
    case "meta":
      return { kind, key: textIn(objectIn(content, kind), "key") };
    case "ct":
      return ctOf(objectIn(content, kind));
    case "fib": {
      const fib = objectIn(content, kind);
      return { kind, flags: textsIn(fib["flags"]), result: textIn(fib, "result") };
    }
    case "numgen":
      return numgenOf(objectIn(content, kind));
    case "jhash":
    case "symhash":
      return hashOf(kind, objectIn(content, kind), setOf);
    case "concat":
      return concatOf(content, setOf, hint);
    case "map":
      return lookupOf(objectIn(content, kind), setOf, hint);
    case "range":
    case "prefix":
      return { kind: "literal", parts: [partOf(value, hint[0])] };
    case "exthdr":
    case "tcp option":
    case "ip option":
    case "sctp chunk":
    case "dccp option":
    case "rt":
    case "socket":
    case "osf":
    case "ipsec":
      return { kind: "other", text: otherText(kind, objectIn(content, kind)) };
    default:
      if (OPERATORS.includes(kind)) return bitwiseOf(kind, content, { setOf, hint });
      throw new JsonFault(`the expression ${shown(kind)} is not known`);
  }
}

function payloadOf(payload: JsonObject): NftExpression {
  if (payload["protocol"] !== undefined)
    return { kind: "payload", header: textIn(payload, "protocol"), field: textIn(payload, "field") };
  const [offset, length] = [numberIn(payload, "offset"), numberIn(payload, "len")];
  if (offset === undefined || length === undefined) throw new JsonFault(`${shown(payload)} is not a header field`);
  return { kind: "bits", base: textIn(payload, "base"), offset, length };
}

function ctOf(ct: JsonObject): NftExpression {
  const direction = ct["dir"] === "original" || ct["dir"] === "reply" ? ct["dir"] : undefined;
  const family = ct["family"] === undefined ? "" : `${textIn(ct, "family")} `;
  return { kind: "ct", key: `${family}${textIn(ct, "key")}`, ...(direction === undefined ? {} : { direction }) };
}

function numgenOf(numgen: JsonObject): NftExpression {
  const mode = textIn(numgen, "mode");
  const modulus = numberIn(numgen, "mod");
  if ((mode !== "random" && mode !== "inc") || modulus === undefined)
    throw new JsonFault(`${shown(numgen)} is not a generator of numbers`);
  return { kind: "numgen", mode, modulus, offset: numberIn(numgen, "offset") ?? 0 };
}

function hashOf(kind: "jhash" | "symhash", hash: JsonObject, setOf: SetOf): NftExpression {
  const modulus = numberIn(hash, "mod");
  const seed = numberIn(hash, "seed");
  const offset = numberIn(hash, "offset") ?? 0;
  if (modulus === undefined) throw new JsonFault(`${shown(hash)} has no modulus`);
  if (kind === "symhash") return { kind, modulus, offset };
  return { kind, of: expressionOf(hash["expr"], setOf), modulus, ...(seed === undefined ? {} : { seed }), offset };
}

function concatOf(content: unknown, setOf: SetOf, hint: readonly string[]): NftExpression {
  if (!Array.isArray(content)) throw new JsonFault(`${shown(content)} is not a concatenation`);
  const parts = content.map((part: unknown, at) => expressionOf(part, setOf, hint.slice(at, at + 1)));
  if (!parts.every((part) => part.kind === "literal")) return { kind: "concat", parts };
  return { kind: "literal", parts: parts.flatMap((part) => part.parts) };
}

function lookupOf(map: JsonObject, setOf: SetOf, hint: readonly string[]): NftExpression {
  const key = expressionOf(map["key"], setOf);
  return { kind: "lookup", key, map: setReferenceOf(map["data"], { key, setOf, dataTypes: hint, isMap: true }) };
}

function bitwiseOf(
  operator: string,
  content: unknown,
  { setOf, hint }: { readonly setOf: SetOf; readonly hint: readonly string[] },
): NftExpression {
  const known = (["&", "|", "^", "<<", ">>"] as const).find((one) => one === operator);
  const [first, ...others]: readonly unknown[] = Array.isArray(content) ? content : [];
  if (known === undefined || others.length === 0) throw new JsonFault(`${shown(content)} has nothing to combine`);
  const left = expressionOf(first, setOf, hint);
  const types = left.kind === "literal" ? hint : typesOf(left, setOf);
  return others.reduce<NftExpression>(
    (before, other) => ({
      kind: "bitwise",
      operator: known,
      left: before,
      right: isObject(other) ? expressionOf(other, setOf, types) : { kind: "literal", parts: partsOf(other, types) },
    }),
    left,
  );
}

/** `"@name"`, or `{ "set": [ … ] }`. */
export function setReferenceOf(
  value: unknown,
  {
    key,
    setOf,
    dataTypes = [],
    isMap,
  }: {
    readonly key: NftExpression;
    readonly setOf: SetOf;
    readonly dataTypes?: readonly string[];
    readonly isMap: boolean;
  },
): NftSetReference {
  if (typeof value === "string" && value.startsWith("@")) return { kind: "named", name: value.slice(1) };
  const set = objectIn(value, "a set")["set"];
  return { kind: "anonymous", elements: elementsOf(set, { keyTypes: typesOf(key, setOf), dataTypes, isMap }) };
}

/** In the words of nft's own text. */
function otherText(kind: string, content: JsonObject): string {
  switch (kind) {
    case "exthdr":
      return content["field"] === undefined
        ? `exthdr ${textIn(content, "name")}`
        : `${textIn(content, "name")} ${textIn(content, "field")}`;
    case "rt":
      return ["rt", content["family"], content["key"]].filter((word) => typeof word === "string").join(" ");
    case "socket":
    case "osf":
      return [kind, content["key"]].filter((word) => typeof word === "string").join(" ");
    default: {
      const words = ["dir", "name", "family", "key", "field"].map((key) => content[key]);
      return [kind, ...words.filter((word) => typeof word === "string")].join(" ");
    }
  }
}
