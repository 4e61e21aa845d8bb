import { CORE_SCHEMA, loadAll, mergeTag, YAMLException } from "js-yaml";
import { fileFault } from "./decode-text.ts";
import { duplicateKeys } from "./duplicate-keys.ts";
import type { Fault } from "./errors.ts";
import type { SourceDocument, SourceText } from "./source-document.ts";
import { positionAt } from "./text-position.ts";

export interface LoadedDocuments {
  /** Those with content, in the file's order. */
  readonly documents: readonly SourceDocument[];
  /** Keys that stand twice; the last of them is in the values. */
  readonly faults: readonly Fault[];
}

/**
 * The documents of a text as plain values: JSON by JSON.parse, everything else by a YAML 1.2 parser that knows `<<`.
 *
 * @throws InputError SYNTAX or ALIAS_BOMB
 */
export function loadDocuments(source: SourceText): LoadedDocuments {
  const { values, faults } = parseJson(source.text) ?? parseYaml(source);
  const documents = values.flatMap((value, index) =>
    value === null || value === undefined ? [] : [{ source, index, value }],
  );
  return { documents, faults };
}

interface ParsedValues {
  readonly values: readonly unknown[];
  readonly faults: readonly Fault[];
}

/** @returns undefined where the text is no JSON, or has a key twice: YAML's parser then says where */
function parseJson(text: string): ParsedValues | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
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

function countKeys(root: unknown): number {
  let count = 0;
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== "object" || value === null) continue;
    const members: readonly unknown[] = Array.isArray(value) ? value : Object.values(value);
    if (!Array.isArray(value)) count += members.length;
    for (const member of members) pending.push(member);
  }
  return count;
}

function parseYaml(source: SourceText): ParsedValues {
  const schema = CORE_SCHEMA.withTags(mergeTag);
  let parsed: ParsedValues;
  try {
    parsed = { values: loadAll(source.text, { schema }), faults: [] };
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    try {
      const faults = duplicateKeys(source);
      if (faults.length === 0) throw error;
      // Only keys stand twice: take the last of each, so that the other faults are found in the same run.
      parsed = { values: loadAll(source.text, { schema, json: true }), faults };
    } catch (other) {
      throw other instanceof YAMLException ? syntaxFault(source, other) : other;
    }
  }
  if (source.text.includes("*")) refuseAliasBomb(source, parsed.values);
  return parsed;
}

function syntaxFault({ file, text }: SourceText, { reason, mark }: YAMLException): Error {
  const tabbed = reason.includes("tab");
  return fileFault("SYNTAX", file, `Cannot read ${/^\s*[[{]/.test(text) ? "JSON or YAML" : "YAML"}: ${reason}`, {
    at: { file, ...positionAt(text, mark?.position ?? 0) },
    ...(tabbed ? { hint: "Indent by spaces" } : {}),
  });
}

/** A file without aliases has fewer values than characters, and none that is honest comes near a million through aliases. */
const MAX_EXPANDED_VALUES = 1_000_000;
/** Aliases inside of aliases; the parser bounds the nesting that is written out (at 100). */
const MAX_EXPANDED_DEPTH = 1000;

/** Aliases share one value in memory, but whoever walks the values meets it each time: counts what a walk would meet, without walking. */
function refuseAliasBomb({ file, text }: SourceText, values: readonly unknown[]): void {
  const limit = Math.max(MAX_EXPANDED_VALUES, text.length);
  const sizes = new Map<object, number>();
  const sizeOf = (value: unknown, depth: number): number => {
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
