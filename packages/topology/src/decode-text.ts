import type { Fault } from "./errors.ts";
import { InputError } from "./errors.ts";
import type { FaultCode } from "./fault-code.ts";
import type { InputFile, SourceText } from "./source-document.ts";

/** 64 MiB: ten times a cluster of 100,000 endpoints, and what a process can hold as values. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024;

/**
 * The text of a file, without a byte-order mark.
 *
 * @throws InputError FILE_TOO_LARGE, or NOT_UTF8 at the first byte that is none
 */
export function decodeText({ file, bytes }: InputFile): SourceText {
  if (bytes.length > MAX_FILE_BYTES) {
    throw fileFault("FILE_TOO_LARGE", file, `Cannot read ${bytes.length} bytes: a file may hold 64 MiB`);
  }
  const text = decodeUtf8(bytes);
  if (text === undefined) {
    const { line, column, offset } = firstInvalidByte(bytes);
    const byte = (bytes[offset] ?? 0).toString(16).padStart(2, "0");
    throw fileFault("NOT_UTF8", file, `Byte ${offset + 1} (0x${byte}) is not UTF-8`, {
      at: { file, line, column },
      hint: "Save the file as UTF-8",
    });
  }
  return { file, text };
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

/** Halves the range until the first bad byte is left: whatever comes before it decodes. */
function firstInvalidByte(bytes: Uint8Array): { offset: number; line: number; column: number } {
  let good = 0;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decodesUpTo(bytes, middle)) good = middle;
    else bad = middle;
  }
  const before = new TextDecoder().decode(bytes.subarray(0, good), { stream: true });
  const lines = before.split("\n");
  return { offset: good, line: lines.length, column: [...(lines.at(-1) ?? "")].length + 1 };
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
