import { fileFault } from "./decode-text.ts";
import type { SourceText } from "./source-document.ts";

/**
 * 10,000 services of 100 endpoints each, on a million pods, are 6.2 million marks. A file of 64 MiB can have ten times as many,
 * and the parser takes 100 bytes and more of memory for each, long before anything in it could be found wrong.
 */
export const MAX_MARKS = 8_000_000;

/**
 * Refuses a text that would make too many values, before a parser starts on it.
 *
 * Counted are the marks without which neither YAML nor JSON can begin another value: `,`, `[` and `{` anywhere, and `-`, `:`,
 * `?`, `---` and `...` before a blank. That some stand inside of quotes or comments makes the bound a little stricter, never looser.
 *
 * @throws InputError TOO_MANY_VALUES
 */
export function refuseValueFlood({ file, text }: SourceText, { limit = MAX_MARKS } = {}): void {
  // Each mark takes a character, so most files need no count.
  if (text.length <= limit || countMarks(text) <= limit) return;
  throw fileFault("TOO_MANY_VALUES", file, `There are more than ${limit} lists, items and keys in it`, {
    hint: "10,000 services of 100 endpoints each have room: leave out what no service needs",
  });
}

const BLANK = 0x20;

/** A document takes the memory of about so many items of a list. */
const DOCUMENT_WEIGHT = 4;

function countMarks(text: string): number {
  let count = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    switch (code) {
      case 0x2c: // ,
      case 0x5b: // [
      case 0x7b: // {
        count++;
        break;
      case 0x2d: // - and the last of `---`
      case 0x2e: // the last of `...`
      case 0x3a: // :
      case 0x3f: // ?
        // Behind the end is NaN, which is not above a blank either.
        if (text.charCodeAt(index + 1) > BLANK) break;
        count += text.charCodeAt(index - 1) === code ? DOCUMENT_WEIGHT : 1;
        break;
    }
  }
  return count;
}
