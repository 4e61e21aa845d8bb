import {
  CORE_SCHEMA,
  defineScalarTag,
  floatCoreTag,
  intCoreTag,
  type LoadOptions,
  loadAll,
  mergeTag,
  NOT_RESOLVED,
  YAMLException,
} from "js-yaml";
import { type Fault, InputError } from "../errors.ts";
import { beginsAsComment, COMMENT_HINT } from "./comment-hint.ts";
import { decodeText, fileFault } from "./decode-text.ts";
import { keyFaults } from "./key-faults.ts";
import { MAX_MARKS, refuseValueFlood } from "./refuse-value-flood.ts";
import { type InputFile, type SourceDocument, type SourceText, shiftPosition } from "./source-document.ts";
import { splitJson } from "./split-json.ts";
import { positionAt, positionFinder } from "./text-position.ts";

export interface LoadedDocuments {
  /** Those with content, in the file's order. */
  readonly documents: readonly SourceDocument[];
  /** Keys that stand twice; the last of them is in the values. */
  readonly faults: readonly Fault[];
}

/**
 * The documents of a text as plain values: JSON by JSON.parse, one or many in a row, everything else by a YAML 1.2 parser that knows `<<`.
 * A number with a leading zero is a text, because readers of YAML 1.1, kubectl among them, take it for an octal one.
 *
 * @throws InputError TOO_MANY_VALUES, SYNTAX or ALIAS_BOMB
 */
export function loadDocuments(source: SourceText): LoadedDocuments {
  refuseValueFlood(source);
  const isJson = beginsAsJson(source);
  const whole = isJson ? parseJson(source.text) : undefined;
  if (whole !== undefined) return documentsOf(source, whole);
  const row = isJson ? splitJson(source.text) : undefined;
  if (row === undefined) return documentsOf(source, parseYaml(source));
  const loaded = partsOf(source, row).map((part) => documentsOf(part, parseJson(part.text) ?? parseYaml(part)));
  return {
    documents: loaded.flatMap(({ documents }) => documents),
    faults: loaded.flatMap(({ faults }) => faults),
  };
}

/** Each value of a row as a text of its own, which begins in the column that the value begins in. */
function partsOf(source: SourceText, row: NonNullable<ReturnType<typeof splitJson>>): readonly SourceText[] {
  const positionOf = positionFinder(source.text);
  const { lines, columns } = source.shift ?? { lines: 0, columns: 0 };
  return row.map(({ start, end }) => {
    const { line, column } = positionOf(start);
    const text = " ".repeat(column - 1) + source.text.slice(start, end);
    return { file: source.file, text, shift: { lines: lines + line - 1, columns } };
  });
}

function documentsOf(source: SourceText, { values, faults }: ParsedValues): LoadedDocuments {
  const parsed = new ParsedText(source, values);
  const documents = values.flatMap((value, index) =>
    value === null || value === undefined ? [] : [new ParsedDocument(parsed, index)],
  );
  return { documents, faults };
}

function beginsAsJson({ text }: SourceText): boolean {
  return /^\s*[[{]/.test(text);
}

/** The values of a text, which are made anew from it where nobody held them for a while: they take several times its memory. */
class ParsedText {
  readonly source: SourceText;
  #values: WeakRef<readonly unknown[]>;

  constructor(source: SourceText, values: readonly unknown[]) {
    this.source = source;
    this.#values = new WeakRef(values);
  }

  get values(): readonly unknown[] {
    const known = this.#values.deref();
    if (known !== undefined) return known;
    const { values } = (beginsAsJson(this.source) ? parseJson(this.source.text) : undefined) ?? parseYaml(this.source);
    this.#values = new WeakRef(values);
    return values;
  }
}

class ParsedDocument implements SourceDocument {
  readonly #parsed: ParsedText;
  readonly index: number;

  constructor(parsed: ParsedText, index: number) {
    this.#parsed = parsed;
    this.index = index;
  }

  get source(): SourceText {
    return this.#parsed.source;
  }

  get value(): unknown {
    return this.#parsed.values[this.index];
  }
}

interface ParsedValues {
  readonly values: readonly unknown[];
  readonly faults: readonly Fault[];
}

/** @returns undefined where the text is not JSON, has a key twice or is nested too deep: YAML's parser then says where */
function parseJson(text: string): ParsedValues | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return countKeys(value) === countKeyTokens(text) ? { values: [value], faults: [] } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** JSON has no blank above it. */
const SPACE = 0x20;

/** Keys in the text of valid JSON; more than the value has means that one stands twice. */
function countKeyTokens(text: string): number {
  let count = 0;
  for (let open = text.indexOf('"'); open >= 0; ) {
    let close = text.indexOf('"', open + 1);
    while (isEscaped(text, close)) close = text.indexOf('"', close + 1);
    let next = close + 1;
    while (text.charCodeAt(next) <= SPACE) next++;
    if (text[next] === ":") count++;
    open = text.indexOf('"', next);
  }
  return count;
}

function isEscaped(text: string, index: number): boolean {
  let backslashes = 0;
  while (text[index - 1 - backslashes] === "\\") backslashes++;
  return backslashes % 2 === 1;
}

/** As deep as YAML's parser goes. */
const MAX_DEPTH = 100;

/** @returns NaN where the values are nested deeper than YAML's parser would go */
function countKeys(value: unknown, depth = 0): number {
  if (depth > MAX_DEPTH) return Number.NaN;
  let count = 0;
  if (Array.isArray(value)) {
    for (const member of value) if (typeof member === "object") count += countKeys(member, depth + 1);
  } else if (isPlainObject(value)) {
    // What JSON.parse makes has no other keys than its own.
    for (const key in value) {
      const member = value[key];
      count += typeof member === "object" ? 1 + countKeys(member, depth + 1) : 1;
    }
  }
  return count;
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** YAML 1.1 reads it as an octal number, YAML 1.2 as a decimal one. */
const LEADING_ZERO = /^[-+]?0[0-9]/;

/** The tag for numbers, where it is not written out, but for those that YAML's versions read differently. */
function unambiguous<Value>(tag: ScalarTag<Value>): ScalarTag<Value> {
  return defineScalarTag(tag.tagName, {
    ...tag,
    resolve: (text, isExplicit, tagName) =>
      LEADING_ZERO.test(text) && !isExplicit ? NOT_RESOLVED : tag.resolve(text, isExplicit, tagName),
  });
}

type ScalarTag<Value> = ReturnType<typeof defineScalarTag<Value>>;

const SCHEMA = CORE_SCHEMA.withTags(mergeTag, unambiguous(intCoreTag), unambiguous(floatCoreTag));

function parseYaml(source: SourceText): ParsedValues {
  const options = { schema: SCHEMA, maxTotalMergeKeys: MAX_EXPANDED_VALUES };
  let parsed: ParsedValues;
  try {
    parsed = { values: loadAll(source.text, { ...options, maxDepth: MAX_DEPTH }), faults: [] };
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    try {
      const [fault, ...others] = keyFaults(source);
      if (fault === undefined) throw error;
      // Only keys stand twice: take the last of each, so that the other faults are found in the same run.
      const faults = [fault, ...others] as const;
      parsed = { values: loadLeniently(source, { options, faults }), faults };
    } catch (other) {
      throw other instanceof YAMLException ? syntaxFault(source, other) : other;
    }
  }
  if (source.text.includes("*")) refuseAliasBomb(source, parsed.values);
  return parsed;
}

/** The last of keys that stand twice. @throws InputError with the faults of the keys where one of them cannot be a key at all */
function loadLeniently(
  { text }: SourceText,
  { options, faults }: { options: LoadOptions; faults: readonly [Fault, ...Fault[]] },
): readonly unknown[] {
  if (faults.some(({ code }) => code !== "DUPLICATE_KEY")) throw new InputError(faults);
  return loadAll(text, { ...options, json: true });
}

function syntaxFault(source: SourceText, { reason, mark }: YAMLException): Error {
  const { file, text } = source;
  const at = (offset: number) => shiftPosition(source, { file, ...positionAt(text, offset) });
  const position = mark?.position ?? 0;
  if (reason.startsWith("merge keys exceeded")) {
    const message = `Merges (<<) bring more than ${MAX_EXPANDED_VALUES} keys into this file`;
    return fileFault("ALIAS_BOMB", file, message, {
      at: at(position),
      hint: "Write the keys out, or use fewer merges",
    });
  }
  // The mark of an alias that means nothing is behind its star.
  const offset = reason.startsWith("unidentified alias") && text[position - 1] === "*" ? position - 1 : position;
  const hint = beginsAsComment(text) ? COMMENT_HINT : SYNTAX_HINTS.find(({ words }) => words.test(reason))?.hint;
  return fileFault("SYNTAX", file, `Cannot read ${/^\s*[[{]/.test(text) ? "JSON or YAML" : "YAML"}: ${reason}`, {
    at: at(offset),
    ...(hint === undefined ? {} : { hint }),
  });
}

const SYNTAX_HINTS: readonly { readonly words: RegExp; readonly hint: string }[] = [
  { words: /\btabs?\b/, hint: "Indent by spaces" },
  { words: /deficient indentation|unexpected end/, hint: "Is a quote or a bracket still open on a line above?" },
  { words: /unidentified alias/, hint: "A text that starts with * must be quoted" },
];

/** A file without aliases has fewer values than characters, and none that is honest comes near a million through aliases. */
const MAX_EXPANDED_VALUES = 1_000_000;
/** What a file without aliases has at most: each mark brings a key and a value, and 64 MiB of texts count for four million. */
const MAX_VALUES = 3 * MAX_MARKS;
/** Aliases inside of aliases; the parser bounds the nesting that is written out (at 100). */
const MAX_EXPANDED_DEPTH = 1000;

/** Aliases share one value in memory, but whoever walks the values meets it each time: counts what a walk would meet, without walking. */
function refuseAliasBomb({ file, text }: SourceText, values: readonly unknown[]): void {
  const limit = Math.min(Math.max(MAX_EXPANDED_VALUES, text.length), MAX_VALUES);
  const sizes = new Map<object, number>();
  const sizeOf = (value: unknown, depth: number): number => {
    // A long text that stands in many places is read in each: it counts for as many values as it has pieces of 16 characters.
    if (typeof value === "string") return 1 + (value.length >> 4);
    if (typeof value !== "object" || value === null) return 1;
    const known = sizes.get(value);
    if (known !== undefined) return known;
    if (depth > MAX_EXPANDED_DEPTH) return Number.POSITIVE_INFINITY;
    // Whoever meets this value again before its size is known is inside of it: a cycle, which never ends.
    sizes.set(value, Number.POSITIVE_INFINITY);
    const members: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
    const size = members.reduce((total: number, member) => total + sizeOf(member, depth + 1), 1);
    sizes.set(value, size);
    return size;
  };
  if (values.reduce((total: number, value) => total + sizeOf(value, 0), 0) <= limit) return;
  throw fileFault("ALIAS_BOMB", file, `Aliases (*name) make more than ${limit} values of this file, or never end`, {
    hint: "Write the values out, or use fewer aliases",
  });
}

/**
 * The documents of all files as values, in the order of the files.
 *
 * @param options.emptyHint what to put into an empty one
 * @throws InputError with what is wrong with any of the files as text, or EMPTY_FILE where none has anything in it
 */
export function loadInput(
  files: readonly InputFile[],
  { emptyHint = "Start with `hosts:`; `svcproxy schema` prints the format" }: { readonly emptyHint?: string } = {},
): LoadedDocuments {
  const documents: SourceDocument[] = [];
  const faults: Fault[] = [];
  const failures: Fault[] = [];
  for (const file of files) {
    try {
      const loaded = loadDocuments(decodeText(file));
      for (const document of loaded.documents) documents.push(document);
      for (const fault of loaded.faults) faults.push(fault);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      for (const fault of error.faults) failures.push(fault);
    }
  }
  const [failure, ...others] = failures;
  if (failure !== undefined) throw new InputError([failure, ...others]);
  if (documents.length === 0) {
    throw fileFault("EMPTY_FILE", files[0]?.file ?? "", "There is nothing in it, or only comments", {
      hint: emptyHint,
    });
  }
  return { documents, faults };
}
