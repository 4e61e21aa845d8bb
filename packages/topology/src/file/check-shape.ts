import { nearestWord } from "../nearest-word.ts";
import { beginsAsComment, COMMENT_HINT } from "../text/comment-hint.ts";
import type { DocumentPath, FaultReport, Path } from "../text/fault-report.ts";
import { isMapping, type SourceDocument } from "../text/source-document.ts";
import { numberHint, quote } from "../visible.ts";
import schema from "./topology.schema.json" with { type: "json" };

/** The part of JSON Schema that the topology's schema uses. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly JsonSchema[];
  readonly minLength?: number;
  /** For editors. */
  readonly pattern?: string;
}

/**
 * Checks keys, types and words of a document; numbers' ranges and what texts mean is left to whoever reads them.
 * A part with a fault is left out of what it returns (`undefined` in a list), so that the rest can be checked further.
 *
 * @returns the value itself where its shape is right
 */
export function checkShape(
  schema: JsonSchema,
  { document, report }: { document: SourceDocument; report: FaultReport },
): unknown {
  return new ShapeCheck(document, report).check(shapeOf(schema, schema.$defs ?? {}), document.value);
}

/** A schema with its references followed, and every part of the same make: a big file comes through here value by value. */
interface Shape {
  readonly type: string | undefined;
  readonly properties: ReadonlyMap<string, Shape>;
  readonly required: readonly string[];
  readonly items: Shape | undefined;
  readonly words: readonly string[] | undefined;
  readonly minLength: number;
  /** Where there is no type of its own. */
  readonly options: readonly Shape[];
}

function shapeOf(schema: JsonSchema, definitions: Readonly<Record<string, JsonSchema>>): Shape {
  const { $ref, items } = schema;
  if ($ref !== undefined) {
    const definition = definitions[$ref.slice("#/$defs/".length)];
    if (definition === undefined) throw new TypeError(`the schema lacks ${$ref}`);
    return shapeOf(definition, definitions);
  }
  const properties = Object.entries(schema.properties ?? {});
  return {
    type: schema.type,
    properties: new Map(properties.map(([key, part]) => [key, shapeOf(part, definitions)])),
    required: schema.required ?? [],
    items: items === undefined ? undefined : shapeOf(items, definitions),
    words: schema.enum,
    minLength: schema.minLength ?? 0,
    // Beside a type, anyOf is for editors: whoever reads the value says it better.
    options: schema.type === undefined ? (schema.anyOf ?? []).map((part) => shapeOf(part, definitions)) : [],
  };
}

class ShapeCheck {
  readonly #document: SourceDocument;
  readonly #report: FaultReport;
  /** The way to the value in hand; copied only into a fault. */
  readonly #path: (string | number)[] = [];

  constructor(document: SourceDocument, report: FaultReport) {
    this.#document = document;
    this.#report = report;
  }

  check(shape: Shape, value: unknown): unknown {
    if (shape.options.length > 0) return this.#checkUnion(shape.options, value);
    if (typeOf(value) !== shape.type) return this.#wrongType([shape], value);
    if (typeof value === "string") return this.#checkText(shape, value);
    if (isMapping(value)) return this.#checkObject(shape, value);
    if (Array.isArray(value) && shape.items !== undefined) return this.#checkList(shape.items, value);
    return value;
  }

  #checkPart(shape: Shape, value: unknown, key: string | number): unknown {
    this.#path.push(key);
    const checked = this.check(shape, value);
    this.#path.pop();
    return checked;
  }

  #place(...further: Path): DocumentPath {
    return { document: this.#document, path: [...this.#path, ...further] };
  }

  #checkObject({ properties, required }: Shape, value: Readonly<Record<string, unknown>>): unknown {
    let checked: Record<string, unknown> | undefined;
    for (const key of Object.keys(value)) {
      const known = properties.has(key) ? key : this.#meantKey(key, { value, properties });
      const property = known === undefined ? undefined : properties.get(known);
      if (known === undefined || property === undefined) continue;
      const member = this.#checkPart(property, value[key], key);
      if (known === key && member === value[key]) continue;
      checked ??= { ...value };
      checked[known] = member;
    }
    for (const key of required) {
      if (Object.hasOwn(checked ?? value, key)) continue;
      this.#report.error("MISSING_KEY", this.#place(), `${subject(this.#path)} lacks \`${key}\``);
    }
    return checked ?? value;
  }

  /** Reports an unknown key. Where a known one was clearly meant, reading goes on with that one, so that its lack is not a second fault. */
  #meantKey(
    key: string,
    { value, properties }: { value: Readonly<Record<string, unknown>>; properties: ReadonlyMap<string, Shape> },
  ): string | undefined {
    const known = [...properties.keys()];
    const near = this.#nearest(key, known);
    const hint = near === undefined ? `Known here: ${known.join(", ")}` : `Did you mean \`${near}\`?`;
    this.#report.error(
      "UNKNOWN_KEY",
      { ...this.#place(key), atKey: true },
      `Unknown key ${quote(key)}`,
      beginsAsComment(key) ? COMMENT_HINT : hint,
    );
    return near === undefined || Object.hasOwn(value, near) ? undefined : near;
  }

  #checkList(items: Shape, value: readonly unknown[]): unknown {
    let checked: unknown[] | undefined;
    value.forEach((item, index) => {
      const result = this.#checkPart(items, item, index);
      if (result === item) return;
      checked ??= [...value];
      checked[index] = result;
    });
    return checked ?? value;
  }

  #checkText({ words, minLength }: Shape, value: string): unknown {
    if (value.length < minLength) {
      this.#report.error("EMPTY_VALUE", this.#place(), `\`${lastKey(this.#path)}\` is empty`);
      return undefined;
    }
    if (words === undefined || words.includes(value)) return value;
    const key = lastKey(this.#path);
    const code = key === "protocol" ? "UNKNOWN_PROTOCOL" : "UNKNOWN_VALUE";
    const near = this.#nearest(value, words);
    this.#report.error(
      code,
      this.#place(),
      `Unknown ${key} ${quote(value)}`,
      near === undefined ? `It can be ${alternatives(words)}` : `Did you mean ${near}?`,
    );
    return undefined;
  }

  /** To look for it takes longer than all the rest of a fault. */
  #nearest(word: string, known: readonly string[]): string | undefined {
    return this.#report.isFull ? undefined : nearestWord(word, known);
  }

  #checkUnion(options: readonly Shape[], value: unknown): unknown {
    const option = options.find(({ type }) => type === typeOf(value));
    return option === undefined ? this.#wrongType(options, value) : this.check(option, value);
  }

  #wrongType(expected: readonly Shape[], value: unknown): undefined {
    const wanted = alternatives(expected.map(({ type = "value" }) => TYPE_NAMES[type] ?? type));
    this.#report.error(
      "WRONG_TYPE",
      this.#place(),
      `${subject(this.#path)} must be ${wanted}, not ${describe(value)}`,
      typeHint(expected, value),
    );
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: "a mapping",
  array: "a list",
  string: "a text",
  integer: "a whole number",
  boolean: "true or false",
};

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value === "number" && Number.isInteger(value) ? "integer" : typeof value;
}

/** A value as a fault quotes it: short, and on one line. */
function describe(value: unknown): string {
  const type = typeOf(value);
  if (type === "object" || type === "array") return TYPE_NAMES[type] ?? type;
  // JSON has no word for .inf and .nan.
  const text = typeof value === "number" ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function typeHint(expected: readonly Shape[], value: unknown): string | undefined {
  const types = expected.map(({ type }) => type);
  if (types.includes("string") && (typeof value === "number" || typeof value === "boolean")) {
    return `Quote it: "${value}"`;
  }
  if (types.includes("integer") && typeof value === "string") return numberHint(value);
  if (types.includes("array") && value !== null) return "Put it in a list: [ … ]";
  return value === null ? "Give it a value or leave the key out" : undefined;
}

function subject(path: Path): string {
  const last = path.at(-1);
  if (last === undefined) return "The file";
  return typeof last === "string" ? `\`${last}\`` : `Item ${last + 1} of \`${lastKey(path)}\``;
}

function lastKey(path: Path): string {
  return String(path.findLast((step) => typeof step === "string") ?? "file");
}

function alternatives(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

/** JSON Schema (2020-12) of the topology file, as `svcproxy schema` prints it and editors take it. */
export const topologySchema: JsonSchema = schema;
