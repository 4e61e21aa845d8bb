/** What the text says is not what nft prints, in half a sentence. */
export class NftFault extends Error {}

const NEWLINE = 10;
const QUOTE = 34;
const HASH = 35;

/** Characters that are words of their own. */
const SINGLE = new Set([..."{}(),;"].map((character) => character.charCodeAt(0)));

/**
 * The words of an nft listing, one after the other: names, values, operators, the characters `{ } ( ) , ;`, quoted texts
 * with their first quote, and line breaks as `\n`. Comments are passed over; an empty word is the end.
 */
export class NftWords {
  readonly #text: string;
  #at = 0;
  /** Where the word that `peek` shows begins, and where it ends. */
  #start = 0;
  #word = "";
  #before = 0;

  constructor(text: string) {
    this.#text = text;
    this.#advance();
  }

  /** The word that comes next. */
  get peek(): string {
    return this.#word;
  }

  /** 0-based place of the next word in the text. */
  get start(): number {
    return this.#start;
  }

  /** Where the last word that was taken ends. */
  get end(): number {
    return this.#before;
  }

  /** 1-based. */
  lineAt(place: number): number {
    let line = 1;
    for (let at = this.#text.indexOf("\n"); at >= 0 && at < place; at = this.#text.indexOf("\n", at + 1)) line++;
    return line;
  }

  slice(from: number, to: number): string {
    return this.#text.slice(from, to);
  }

  /** A place to come back to. */
  mark(): number {
    return this.#start;
  }

  reset(place: number): void {
    this.#at = place;
    this.#advance();
  }

  /** Takes the first characters of the next word only: the colon of `:80`. */
  shift(count: number): void {
    this.reset(this.#start + count);
  }

  next(): string {
    const word = this.#word;
    this.#before = this.#at;
    this.#advance();
    return word;
  }

  /** Takes the next word if it is this one. */
  skip(word: string): boolean {
    if (this.#word !== word) return false;
    this.next();
    return true;
  }

  /** @throws NftFault where another word comes */
  expect(word: string): void {
    if (!this.skip(word)) throw new NftFault(`${formatWord(word)} is expected before ${formatWord(this.#word)}`);
  }

  skipNewlines(): void {
    while (this.#word === "\n") this.next();
  }

  /** Whether nothing but a line break, a brace or the end of the text follows. */
  get isAtLineEnd(): boolean {
    return this.#word === "\n" || this.#word === ";" || this.#word === "}" || this.#word === "";
  }

  /** Goes to the end of a statement's line, over what stands in braces. */
  skipLine(): void {
    let depth = 0;
    while (this.#word !== "") {
      if (depth === 0 && this.isAtLineEnd) return;
      if (this.#word === "{") depth++;
      if (this.#word === "}") depth--;
      this.next();
    }
  }

  /** Goes over a `{ … }` that comes next. */
  skipBlock(): void {
    this.expect("{");
    for (let depth = 1; depth > 0 && this.#word !== ""; ) {
      const word = this.next();
      if (word === "{") depth++;
      if (word === "}") depth--;
    }
  }

  #advance(): void {
    const text = this.#text;
    let at = this.#at;
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === HASH) {
        const end = text.indexOf("\n", at);
        at = (end < 0 ? text.length : end) - 1;
      } else if (code === NEWLINE || code > 32) break;
    }
    this.#start = at;
    if (at >= text.length) {
      this.#word = "";
      this.#at = at;
      return;
    }
    const first = text.charCodeAt(at);
    if (first === NEWLINE || SINGLE.has(first)) at++;
    else if (first === QUOTE) {
      const end = text.indexOf('"', at + 1);
      this.#word = text.slice(at, end < 0 ? text.length : end);
      this.#at = end < 0 ? text.length : end + 1;
      return;
    } else {
      for (at++; at < text.length; at++) {
        const code = text.charCodeAt(at);
        if (code <= 32 || code === QUOTE || SINGLE.has(code)) break;
      }
    }
    this.#word = text.slice(this.#start, at);
    this.#at = at;
  }
}

/** A word as people see it. */
export function formatWord(word: string): string {
  if (word === "") return "the end of the text";
  return word === "\n" ? "the end of the line" : `\`${word.startsWith('"') ? `${word}"` : word}\``;
}

/** The text in quotes; undefined where the word is not quoted. */
export function quoted(word: string): string | undefined {
  return word.startsWith('"') ? word.slice(1) : undefined;
}
