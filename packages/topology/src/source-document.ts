/** A file as it came in. */
export interface InputFile {
  /** How messages name it: the path as given, or `<stdin>`. */
  readonly file: string;
  readonly bytes: Uint8Array;
}

/** The decoded text of one file. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
}

/** One YAML or JSON document, as values. */
export interface SourceDocument {
  readonly source: SourceText;
  /** 0-based place among the documents of its file. */
  readonly index: number;
  readonly value: unknown;
}
