import { readPart, readPrefix, UNKNOWN_TYPE } from "../data-types.ts";
import type { Datum, DatumPart, NftData, NftElement, NftVerdict } from "../nft-rule-set.ts";
import { isObject, JsonFault, objectIn, onlyProperty, shown, textIn } from "./json-value.ts";

/** A value, prefix or range of a type, as nft's JSON has it. @throws JsonFault */
export function partOf(value: unknown, type: string = UNKNOWN_TYPE): DatumPart {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "string") {
    const part = readPart(type, value);
    if (part === undefined) throw new JsonFault(`${shown(value)} is not a value of type ${type}`);
    return part;
  }
  if (Array.isArray(value)) return flagsOf(value, type);
  const [kind, content] = onlyProperty(value);
  if (kind === "|" && Array.isArray(content)) return flagsOf(content, type);
  if (kind === "range" && Array.isArray(content)) {
    const [from, to] = content.map((end) => singleOf(end, type));
    if (from !== undefined && to !== undefined) return { from, to };
  }
  if (kind === "prefix") {
    const { addr, len } = objectIn(content, "a prefix");
    const prefix = typeof addr === "string" ? readPrefix(addr, String(len), addr.includes(":") ? 6 : 4) : undefined;
    if (prefix !== undefined) return prefix;
  }
  if (kind === "elem") return partOf(objectIn(content, "an element")["val"], type);
  throw new JsonFault(`${shown(value)} is not a value`);
}

function singleOf(value: unknown, type: string): Datum {
  const part = partOf(value, type);
  if (typeof part === "object") throw new JsonFault(`${shown(value)} is not an end of a range`);
  return part;
}

/** Flags in a list, or nested in `|`. */
function flagsOf(values: readonly unknown[], type: string): number {
  return values.reduce<number>((bits, value) => {
    const part = partOf(value, type);
    if (typeof part !== "number") throw new JsonFault(`${shown(value)} is not a flag of ${type}`);
    return bits | part;
  }, 0);
}

/** A key or data: a concatenation, or one value. */
export function partsOf(value: unknown, types: readonly string[]): readonly DatumPart[] {
  if (isObject(value) && Array.isArray(value["concat"]))
    return value["concat"].map((part: unknown, at) => partOf(part, types[at]));
  return [partOf(value, types[0])];
}

/** The elements of a set or map. */
export function elementsOf(
  values: unknown,
  { keyTypes, dataTypes, isMap }: { keyTypes: readonly string[]; dataTypes: readonly string[]; isMap: boolean },
): readonly NftElement[] {
  const list: readonly unknown[] = Array.isArray(values) ? values : [values];
  return list.map((value): NftElement => {
    if (!isMap) return { key: keyOf(value, keyTypes), ...attributesOf(value) };
    const pair: readonly unknown[] = Array.isArray(value) ? value : [];
    if (pair.length !== 2) throw new JsonFault(`${shown(value)} is not an element of a map`);
    return { key: keyOf(pair[0], keyTypes), data: dataOf(pair[1], dataTypes), ...attributesOf(pair[0]) };
  });
}

/** What is said of an element beside its value: `{ "elem": { "val": …, "counter": …, "comment": … } }`. */
function attributesOf(value: unknown): Pick<NftElement, "counters" | "comment"> {
  const element = isObject(value) ? value["elem"] : undefined;
  if (!isObject(element)) return {};
  const { counter, comment } = element;
  const { packets, bytes } = isObject(counter) ? counter : {};
  return {
    ...(typeof packets === "number" && typeof bytes === "number" ? { counters: { packets, bytes } } : {}),
    ...(typeof comment === "string" ? { comment } : {}),
  };
}

function keyOf(value: unknown, types: readonly string[]): readonly DatumPart[] {
  const bare = isObject(value) && value["elem"] !== undefined ? objectIn(value["elem"], "an element")["val"] : value;
  return bare === "*" ? [] : partsOf(bare, types);
}

function dataOf(value: unknown, types: readonly string[]): NftData {
  const verdict = types.length === 0 || types[0] === "verdict" ? verdictOf(value) : undefined;
  return verdict === undefined ? { kind: "value", parts: partsOf(value, types) } : { kind: "verdict", verdict };
}

/** `{ "accept": null }`, `{ "goto": { "target": … } }`; undefined for anything else. */
export function verdictOf(value: unknown): NftVerdict | undefined {
  if (!isObject(value)) return undefined;
  const [kind] = Object.keys(value);
  switch (kind) {
    case "accept":
    case "drop":
    case "continue":
    case "return":
      return { kind };
    case "jump":
    case "goto":
      return { kind, chain: textIn(objectIn(value[kind], kind), "target") };
    default:
      return undefined;
  }
}
