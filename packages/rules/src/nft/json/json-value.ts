/** A part of nft's JSON that is not what is expected, in half a sentence. */
export class JsonFault extends Error {}

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function objectIn(value: unknown, what: string): JsonObject {
  if (!isObject(value)) throw new JsonFault(`${what} is not an object`);
  return value;
}

export function textIn(object: JsonObject, key: string): string {
  const value = object[key];
  if (typeof value !== "string") throw new JsonFault(`\`${key}\` is not a string`);
  return value;
}

export function numberIn(object: JsonObject, key: string): number | undefined {
  const value = object[key];
  if (value === undefined) return undefined;
  if (typeof value !== "number") throw new JsonFault(`\`${key}\` is not a number`);
  return value;
}

/** One text, or a list of them. */
export function textsIn(value: unknown): readonly string[] {
  if (value === undefined) return [];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.map((item) => {
    if (typeof item !== "string") throw new JsonFault(`${shown(item)} is not a string`);
    return item;
  });
}

/** The only property of an object that is one thing: `{ "meta": … }`. */
export function onlyProperty(value: unknown): readonly [string, unknown] {
  const [first, ...others] = Object.entries(objectIn(value, shown(value)));
  if (first === undefined || others.length > 0) throw new JsonFault(`${shown(value)} is not one thing`);
  return first;
}

export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
