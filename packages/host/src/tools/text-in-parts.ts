import { StringDecoder } from "node:string_decoder";

/**
 * So many bytes of what a tool prints are read at once. A buffer of more than 128 KiB, once it is freed, has glibc take others up to its size from its own heap,
 * of which it then keeps twice as much that is free: after the megabytes of `iptables-save` for as long as the process lives.
 *
 * @see mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD
 */
export const OUTPUT_PART_BYTES = 64 * 1024;

/** In characters, for the same reason; not less than a pipe takes at once, so that what is small reaches a tool whole or not at all. */
const INPUT_PART_LENGTH = 256 * 1024;

/** A text that comes in as UTF-8, part by part. */
export class TextInParts {
  readonly #decoder = new StringDecoder("utf8");
  readonly #parts: string[] = [];

  add(bytes: Buffer): void {
    this.#parts.push(this.#decoder.write(bytes));
  }

  /** Nothing comes in after this. */
  whole(): string {
    this.#parts.push(this.#decoder.end());
    return this.#parts.join("");
  }
}

/** @returns parts of which each can be encoded by itself */
export function* splitText(text: string, partLength = INPUT_PART_LENGTH): Generator<string> {
  for (let start = 0, end = 0; start < text.length; start = end) {
    end = start + partLength;
    if (endsInsideCharacter(text, end)) end++;
    yield text.slice(start, end);
  }
}

/** Whether the first half of a surrogate pair is the last before the end. */
function endsInsideCharacter(text: string, end: number): boolean {
  return (text.codePointAt(end - 1) ?? 0) > 0xffff;
}
