/** One line of iptables-restore's input as its words. */
export interface RestoreWords {
  readonly words: readonly string[];
  /** Places of the words that stood in quotes: never an option. Undefined where none did. */
  readonly quoted: ReadonlySet<number> | undefined;
  /** Set where the line ended inside quotes. */
  readonly isOpen: boolean;
}

/**
 * Splits as `add_param_to_argv` of iptables-restore does: only `"` quotes, a backslash escapes inside quotes only, and a
 * closing quote ends the word. (A word that merely begins outside of quotes still counts as quoted.)
 */
export function splitRestoreLine(line: string): RestoreWords {
  if (!line.includes('"')) return { words: splitBlanks(line), quoted: undefined, isOpen: false };
  const words: string[] = [];
  const quoted = new Set<number>();
  let rest = 0;
  for (;;) {
    const quote = line.indexOf('"', rest);
    if (quote < 0) {
      pushPlain(words, line.slice(rest));
      return { words, quoted, isOpen: false };
    }
    pushPlain(words, line.slice(rest, quote));
    // What touches the opening quote belongs to the quoted word.
    const touches = quote > rest && !isBlank(line.charCodeAt(quote - 1));
    const start = touches ? (words.pop() ?? "") : "";
    const { text, end } = readQuoted(line, quote + 1);
    quoted.add(words.length);
    words.push(start + text);
    if (end < 0) return { words, quoted, isOpen: true };
    rest = end;
  }
}

/** @returns the unescaped text, and the place after the closing quote, or -1 where there is none */
function readQuoted(line: string, start: number): { text: string; end: number } {
  let text = "";
  let from = start;
  for (let index = start; index < line.length; index++) {
    const code = line.charCodeAt(index);
    if (code === QUOTE) return { text: text + line.slice(from, index), end: index + 1 };
    if (code === BACKSLASH) {
      text += line.slice(from, index);
      from = ++index;
    }
  }
  return { text: text + line.slice(from), end: -1 };
}

const QUOTE = 34;
const BACKSLASH = 92;

function isBlank(code: number): boolean {
  return code === 32 || code === 9 || code === 10 || code === 13;
}

/** Words without any quotes. */
export function splitBlanks(line: string): string[] {
  const words: string[] = [];
  pushPlain(words, line);
  return words;
}

function pushPlain(words: string[], text: string): void {
  const hasOtherBlanks = text.includes("\t") || text.includes("\r");
  for (let start = 0; start < text.length; ) {
    const blank = text.indexOf(" ", start);
    const end = blank < 0 ? text.length : blank;
    if (end > start) {
      const word = text.slice(start, end);
      if (hasOtherBlanks) words.push(...word.split(/[\t\r]+/).filter((part) => part !== ""));
      else words.push(word);
    }
    start = end + 1;
  }
}

/** The word as iptables-restore reads it back, itself where it needs no quotes. */
export function quoteRestoreWord(word: string): string {
  return isPlain(word) ? word : `"${word.replace(/["\\]/g, "\\$&")}"`;
}

/** Character by character: most words are short, and a regular expression takes longer to begin than to read one. */
function isPlain(word: string): boolean {
  for (let index = 0; index < word.length; index++) if (!isPlainCode(word.charCodeAt(index))) return false;
  return word !== "";
}

/** `[\w@%+=:,./[\]!*-]`: what iptables-save leaves unquoted, and what of options, addresses and ports needs no quotes either. */
function isPlainCode(code: number): boolean {
  return (
    (code >= 0x61 && code <= 0x7a) || // a to z
    (code >= 0x2a && code <= 0x3a) || // * + , - . / 0 to 9 :
    (code >= 0x40 && code <= 0x5b) || // @ A to Z [
    code === 0x5d || // ]
    code === 0x5f || // _
    code === 0x3d || // =
    code === 0x25 || // %
    code === 0x21 // !
  );
}

/** The word as `xtables_save_string` prints it: line breaks stay as they are. */
export function quoteSavedWord(word: string): string {
  return /^[\w-]+$/.test(word) ? word : `"${word.replace(/["'\\]/g, "\\$&")}"`;
}
