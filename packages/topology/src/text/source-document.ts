import type { SourcePosition } from "../errors.ts";

/** A file as it came in. */
export interface InputFile {
  /** How messages name it: the path as given, or `<stdin>`. */
  readonly file: string;
  readonly bytes: Uint8Array;
}

/** The decoded text of one file, or of a part of it. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
  /** How far the text is moved where it is a part of the file; absent: not at all. */
  readonly shift?: { readonly lines: number; readonly columns: number };
}

/** A place in a text as a place in its file. */
export function shiftPosition({ shift }: SourceText, position: SourcePosition): SourcePosition {
  if (shift === undefined) return position;
  return { ...position, line: position.line + shift.lines, column: position.column + shift.columns };
}

/** One YAML or JSON document, as values. */
export interface SourceDocument {
  readonly source: SourceText;
  /** 0-based place among the documents of its file. */
  readonly index: number;
  readonly value: unknown;
}

/** Whether a value is what YAML calls a mapping: neither a list nor a scalar. */
export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
