import { type Fault, InputError } from "../errors.ts";
import type { FaultCode } from "../fault-code.ts";
import type { InputFile, SourceText } from "./source-document.ts";
import { positionAt } from "./text-position.ts";

/** 64 MiB: ten times a cluster of 100,000 endpoints, and what a process can hold as values. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024;

/**
 * The text of a file, without byte-order marks, be they at the start of a line: files that were joined have them there. UTF-16 that such
 * a mark announces is read as well.
 *
 * @throws InputError FILE_TOO_LARGE, or NOT_UTF8 at the first byte that is none, a null byte among them: no format that is read has it,
 *   and UTF-16 is full of it
 */
export function decodeText({ file, bytes }: InputFile): SourceText {
  if (bytes.length > MAX_FILE_BYTES) {
    // Who read it may have stopped at the bound: how large it is nobody knows.
    throw fileFault("FILE_TOO_LARGE", file, "Cannot read it: a file may hold 64 MiB", {
      hint: "Kubernetes objects can be given as several files, and Pods left out where EndpointSlices name them",
    });
  }
  const wide = decodeUtf16(bytes);
  if (wide !== undefined) return { file, text: wide };
  const text = decodeUtf8(bytes);
  const nullOffset = bytes.indexOf(0);
  if (text !== undefined && nullOffset < 0) return { file, text: withoutMarks(text) };
  const { line, column, offset } = text === undefined ? firstInvalidByte(bytes) : placeOf(bytes, nullOffset);
  const byte = (bytes[offset] ?? 0).toString(16).padStart(2, "0");
  throw fileFault("NOT_UTF8", file, `Byte ${offset + 1} (0x${byte}) is not UTF-8 text`, {
    at: { file, line, column },
    hint: looksLikeUtf16(bytes) ? "It looks like UTF-16: save the file as UTF-8" : "Save the file as UTF-8",
  });
}

/** Undefined where no mark says so, or it is not such a text after all. */
function decodeUtf16(bytes: Uint8Array): string | undefined {
  const [first, second] = bytes;
  const encoding =
    first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : undefined;
  if (encoding === undefined) return undefined;
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    return text.includes("\0") ? undefined : withoutMarks(text);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function withoutMarks(text: string): string {
  return text.includes(MARK) ? text.replace(/^\ufeff+/gm, "") : text;
}

const MARK = "\ufeff";

/** By its byte-order mark, or by the null byte that every ASCII character has there. */
function looksLikeUtf16([first, second]: Uint8Array): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff) || (first === 0) !== (second === 0);
}

/** A fault of a whole file, at its start unless `at` says otherwise. */
export function fileFault(
  code: FaultCode,
  file: string,
  message: string,
  options: Pick<Fault, "at" | "hint"> = {},
): InputError {
  return new InputError([{ severity: "error", code, message, at: { file, line: 1, column: 1 }, ...options }]);
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

interface BytePlace {
  /** 0-based. */
  readonly offset: number;
  readonly line: number;
  readonly column: number;
}

/** Halves the range until the first bad byte is left: whatever comes before it decodes. */
function firstInvalidByte(bytes: Uint8Array): BytePlace {
  let good = 0;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decodesUpTo(bytes, middle)) good = middle;
    else bad = middle;
  }
  return placeOf(bytes, characterStart(bytes, good));
}

/** Where the character begins that the byte at `offset` breaks off: a lead byte is at most three bytes ahead. */
function characterStart(bytes: Uint8Array, offset: number): number {
  for (let start = offset - 1; start >= Math.max(0, offset - 3); start--) {
    const byte = bytes[start] ?? 0;
    if (byte < 0x80) break;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return start + length > offset ? start : offset;
    }
  }
  return offset;
}

/** What comes before `offset` is UTF-8. */
function placeOf(bytes: Uint8Array, offset: number): BytePlace {
  const before = new TextDecoder().decode(bytes.subarray(0, offset));
  return { offset, ...positionAt(before, before.length) };
}

/** Whether the first `length` bytes are UTF-8, a character cut off at the end allowed. */
function decodesUpTo(bytes: Uint8Array, length: number): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length), { stream: true });
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}
