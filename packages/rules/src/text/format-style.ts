import type { Family } from "@svcproxy/topology";
import { quoteRestoreWord } from "./restore-words.ts";
import { quoteShellWord } from "./shell-words.ts";

/**
 * How a rule is written:
 * `command` for a POSIX shell, `restore` for iptables-restore, both as people write it (`-d 10.1.1.1`, `--set-mark`, the
 * parts in the order of the value); `save` as iptables-save prints it.
 */
export type RuleStyle = "command" | "restore" | "save";

export interface FormatOptions {
  readonly style: RuleStyle;
  readonly family: Family;
}

/** Free words, each in the quotes that it needs, with a blank between two. */
export function quoteWords(words: readonly string[], options: FormatOptions): string {
  return words.map((word) => quoteWord(word, options)).join(" ");
}

const LINE_BREAK = /[\n\0]/;

/**
 * A free word in the quotes that the style needs.
 *
 * @throws RangeError in the style `restore` for a word with a line break: iptables-restore reads line by line and has no
 *   escape for one
 */
export function quoteWord(word: string, { style }: FormatOptions): string {
  switch (style) {
    case "command":
      return quoteShellWord(word.replaceAll("\0", " ").toWellFormed());
    case "restore": {
      const quoted = quoteRestoreWord(word);
      // What needs no quotes has no line break either, and nearly no word needs them.
      if (quoted !== word && LINE_BREAK.test(word))
        throw new RangeError(`iptables-restore cannot read ${JSON.stringify(word)}`);
      return quoted;
    }
    case "save":
      return quoteRestoreWord(word);
  }
}

/** `XT_MAX_COMMENT_LEN` less the final zero. */
const COMMENT_MAX_BYTES = 255;

/**
 * A comment as iptables can keep it and give it back: at most 255 bytes of well-formed UTF-8, cut between characters, each
 * run of line breaks and zeros as one blank (iptables-save would print a line break as it is, and iptables-restore read
 * the rest as another line).
 */
export function storableComment(text: string): string {
  if (text.length <= COMMENT_MAX_BYTES / 3 && !/[\n\r\0\uD800-\uDFFF]/.test(text)) return text;
  const clean = text.toWellFormed().replace(/[\n\r\0]+/g, " ");
  const bytes = new TextEncoder().encode(clean);
  if (bytes.length <= COMMENT_MAX_BYTES) return clean;
  let end = COMMENT_MAX_BYTES;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return new TextDecoder().decode(bytes.subarray(0, end));
}
