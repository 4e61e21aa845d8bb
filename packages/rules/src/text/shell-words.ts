import { RuleFault } from "./rule-fault.ts";

/** One simple command of a shell text. */
export interface ShellCommand {
  /** 1-based line on which it starts. */
  readonly line: number;
  readonly words: readonly string[];
  /** Places of the words of which a part stood in quotes or behind a backslash. */
  readonly quoted: ReadonlySet<number>;
}

/** What ends a word without being part of it. */
const SPECIAL = /[\s;&|<>()'"\\$`#]/;

/**
 * Reads the simple commands of a POSIX shell text: quotes, backslashes, comments, line continuations, `;`, `&&` and line
 * ends. What would have to be run to be known (variables, substitutions, pipes, redirections, control flow) is refused.
 *
 * @param report called with each line that cannot be read; reading goes on with the next line
 */
export function splitShellCommands(text: string, report: (line: number, fault: RuleFault) => void): ShellCommand[] {
  const commands: ShellCommand[] = [];
  const scanner = new ShellScanner(text);
  for (;;) {
    const line = scanner.line;
    try {
      const command = scanner.nextCommand();
      if (command === undefined) return commands;
      if (command.words.length > 0) commands.push(command);
    } catch (error) {
      if (!(error instanceof RuleFault)) throw error;
      report(Math.max(line, scanner.commandLine), error);
      scanner.skipLine();
    }
  }
}

class ShellScanner {
  readonly #text: string;
  #at = 0;
  line = 1;
  commandLine = 1;

  constructor(text: string) {
    this.#text = text;
  }

  /** @returns undefined at the end of the text */
  nextCommand(): ShellCommand | undefined {
    const words: string[] = [];
    const quoted = new Set<number>();
    for (;;) {
      this.#skipBlanks();
      const character = this.#text[this.#at];
      if (words.length === 0) this.commandLine = this.line;
      if (character === undefined) return words.length === 0 ? undefined : this.#command(words, quoted);
      if (character === "\n" || character === ";" || this.#text.startsWith("&&", this.#at)) {
        this.#advance(character === "&" ? 2 : 1);
        return this.#command(words, quoted);
      }
      if ("&|<>()".includes(character)) throw new RuleFault(`the shell's ${character} is not understood here`);
      const { word, isQuoted } = this.#nextWord();
      if (isQuoted) quoted.add(words.length);
      words.push(word);
    }
  }

  skipLine(): void {
    while (this.#at < this.#text.length && this.#text[this.#at] !== "\n") this.#at++;
    this.#advance(1);
  }

  #command(words: string[], quoted: Set<number>): ShellCommand {
    return { line: this.commandLine, words, quoted };
  }

  #advance(count: number): void {
    for (let step = 0; step < count && this.#at < this.#text.length; step++) {
      if (this.#text[this.#at++] === "\n") this.line++;
    }
  }

  /** Blanks, continued lines and comments; stops at a line end. */
  #skipBlanks(): void {
    for (;;) {
      const character = this.#text[this.#at];
      if (character === " " || character === "\t" || character === "\r") this.#at++;
      else if (character === "\\" && this.#text[this.#at + 1] === "\n") this.#advance(2);
      else if (character === "#") {
        while (this.#at < this.#text.length && this.#text[this.#at] !== "\n") this.#at++;
      } else return;
    }
  }

  #nextWord(): { word: string; isQuoted: boolean } {
    let word = "";
    let isQuoted = false;
    for (;;) {
      const start = this.#at;
      while (this.#at < this.#text.length && !SPECIAL.test(this.#text[this.#at] ?? "")) this.#at++;
      word += this.#text.slice(start, this.#at);
      const character = this.#text[this.#at];
      if (character === "#" && this.#at > start) {
        word += character;
        this.#at++;
      } else if (character === "'") {
        isQuoted = true;
        word += this.#singleQuoted();
      } else if (character === '"') {
        isQuoted = true;
        word += this.#doubleQuoted();
      } else if (character === "\\") {
        const next = this.#text[this.#at + 1];
        this.#advance(2);
        if (next !== undefined && next !== "\n") {
          isQuoted = true;
          word += next;
        }
      } else if (character === "$" || character === "`") {
        throw new RuleFault(`what the shell puts in place of ${character} is not known here`);
      } else return { word, isQuoted };
    }
  }

  #singleQuoted(): string {
    const end = this.#text.indexOf("'", this.#at + 1);
    if (end < 0) throw new RuleFault("a single quote is never closed");
    const content = this.#text.slice(this.#at + 1, end);
    this.#advance(end + 1 - this.#at);
    return content;
  }

  #doubleQuoted(): string {
    let content = "";
    this.#at++;
    for (;;) {
      const character = this.#text[this.#at];
      if (character === undefined) throw new RuleFault("a double quote is never closed");
      if (character === "$" || character === "`")
        throw new RuleFault(`what the shell puts in place of ${character} is not known here`);
      const next = this.#text[this.#at + 1];
      if (character === "\\" && next !== undefined && '$`"\\\n'.includes(next)) {
        if (next !== "\n") content += next;
        this.#advance(2);
        continue;
      }
      this.#advance(1);
      if (character === '"') return content;
      content += character;
    }
  }
}

/** The word as any POSIX shell reads it back, itself where it is harmless. */
export function quoteShellWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return /^[\w@%+=:,./ ();<>{}[\]|&*?~#'-]+$/.test(word) ? `"${word}"` : `'${word.replaceAll("'", "'\\''")}'`;
}
