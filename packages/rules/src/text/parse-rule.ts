import { visible } from "@svcproxy/topology";
import { isTargetName } from "../effects/target-effect.ts";
import type { Match } from "../match.ts";
import type { Counters, Rule } from "../rule-set.ts";
import type { Target } from "../target.ts";
import type { ExtensionSyntax, ParsedOption } from "./extension-syntax.ts";
import { optionWords } from "./extension-syntax.ts";
import { HEADER_OPTIONS, type RuleContext, readHeaderMatch } from "./header-options.ts";
import { MATCH_SYNTAX, PROTOCOL_MODULES } from "./match-syntax.ts";
import { RuleFault } from "./rule-fault.ts";
import { TARGET_SYNTAX } from "./target-syntax.ts";

/** Words as a tokenizer gives them. */
export interface RuleWords {
  readonly words: readonly string[];
  readonly quoted?: ReadonlySet<number> | undefined;
}

/** Options of unknown extensions whose next word may be anything, an option's look included. */
export const FREE_TEXT_OPTIONS: ReadonlySet<string> = new Set([
  ...["--string", "--hex-string", "--u32", "--bytecode", "--comment", "--log-prefix", "--nflog-prefix"],
  ...["--ulog-prefix", "--name", "--hashlimit-name", "--helper", "--genre", "--path", "--object-pinned"],
]);

/**
 * Reads the part of a line that tells the rule: what stands behind `-A CHAIN`.
 *
 * @param start place of the first word that belongs to the rule
 * @throws RuleFault
 */
export function parseRule(line: RuleWords, start: number, context: RuleContext): Rule {
  return new RuleReader(line, context).read(start);
}

/** A `-m` or `-j` extension with the options that were met for it so far. */
interface Extension {
  readonly name: string;
  readonly known: ExtensionSyntax<unknown> | undefined;
  readonly options: ParsedOption[];
  /** Its place among the rule's matches; -1 for the target. */
  readonly slot: number;
}

class RuleReader {
  readonly #words: readonly string[];
  readonly #quoted: ReadonlySet<number> | undefined;
  readonly #context: RuleContext;
  readonly #matches: (Match | undefined)[] = [];
  readonly #extensions: Extension[] = [];
  #current: Extension | undefined;
  #protocol: string | undefined;
  #target: Extension | undefined;
  #goto: string | undefined;
  #counters: Counters | undefined;

  constructor(line: RuleWords, context: RuleContext) {
    this.#words = line.words;
    this.#quoted = line.quoted;
    this.#context = context;
  }

  read(start: number): Rule {
    for (let at = start; at < this.#words.length; ) at = this.#readOption(at);
    for (const extension of this.#extensions) {
      if (extension.slot >= 0) this.#matches[extension.slot] = readMatch(extension, this.#context);
    }
    const matches: Match[] = [];
    for (const match of this.#matches) if (match !== undefined) matches.push(match);
    const target = this.#readTarget();
    return this.#counters === undefined ? { matches, target } : { matches, target, counters: this.#counters };
  }

  /** @returns the place after the option and its values */
  #readOption(start: number): number {
    let at = start;
    let word = this.#words[at] ?? "";
    const isQuoted = this.#quoted?.has(at) === true;
    const negated = word === "!" && !isQuoted;
    if (negated) {
      word = this.#words[++at] ?? "";
      if (word === "") throw new RuleFault("nothing follows the !");
    }
    if (isQuoted || word.charCodeAt(0) !== HYPHEN) throw new RuleFault(`unexpected word ${quote(word)}`);
    // `-m policy` has an option of the name that is short for `--protocol` elsewhere.
    const header = word === "--proto" && this.#current?.name === "policy" ? undefined : HEADER_OPTIONS.get(word);
    if (header !== undefined) return this.#readHeader(header, at, negated);
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    if (equals > 0)
      return this.#readExtensionOption(word.slice(0, equals), at, { negated, inline: word.slice(equals + 1) });
    return this.#readExtensionOption(word, at, { negated });
  }

  #readHeader(option: string, at: number, negated: boolean): number {
    const value = this.#words[at + 1];
    if (option === "-f") {
      this.#matches.push({ kind: "fragment", negated });
      return at + 1;
    }
    if (option === "-4" || option === "-6") return at + 1;
    if (value === undefined) throw new RuleFault(`${option} needs a value`);
    if (value === "!" && this.#quoted?.has(at + 1) !== true)
      throw new RuleFault(`the ! belongs before ${option}, as in "! ${option} VALUE"`);
    switch (option) {
      case "-m":
        this.#load(value);
        return at + 2;
      case "-j":
      case "-g":
        this.#setTarget(option, value, negated);
        return at + 2;
      case "-c":
        return this.#readCounters(at);
      default: {
        const match = readHeaderMatch({ option, value, negated }, this.#context);
        if (option === "-p") this.#protocol = match?.kind === "protocol" && !negated ? match.protocol : undefined;
        this.#matches.push(match);
        return at + 2;
      }
    }
  }

  #readCounters(at: number): number {
    const [first = "", second = ""] = this.#words.slice(at + 1, at + 3);
    // `-c 2,3` is one word for both.
    const comma = first.indexOf(",");
    const [packets, bytes] = comma < 0 ? [first, second] : [first.slice(0, comma), first.slice(comma + 1)];
    if (!/^\d+$/.test(packets) || !/^\d+$/.test(bytes)) throw new RuleFault("-c needs two numbers, packets and bytes");
    this.#counters = { packets: BigInt(packets), bytes: BigInt(bytes) };
    return at + (comma < 0 ? 3 : 2);
  }

  #load(name: string): Extension {
    const extension = { name, known: MATCH_SYNTAX.get(name), options: [], slot: this.#matches.length };
    this.#matches.push(undefined);
    this.#extensions.push(extension);
    this.#current = extension;
    return extension;
  }

  #setTarget(option: string, name: string, negated: boolean): void {
    if (negated) throw new RuleFault(`${option} cannot be negated`);
    if (this.#target !== undefined || this.#goto !== undefined) throw new RuleFault("more than one target");
    if (option === "-g") {
      this.#goto = name;
      return;
    }
    const isChain = this.#context.chains?.has(name) === true;
    this.#target = { name, known: isChain ? undefined : TARGET_SYNTAX.get(name), options: [], slot: -1 };
    this.#extensions.push(this.#target);
    this.#current = this.#target;
  }

  #readExtensionOption(spelling: string, at: number, given: { negated: boolean; inline?: string }): number {
    const owner = this.#ownerOf(spelling);
    const known = owner.known?.options.get(spelling);
    const values = given.inline === undefined ? [] : [given.inline];
    let next = at + 1;
    if (known !== undefined) {
      while (values.length < known.wordCount) {
        const value = this.#words[next++];
        if (value === undefined)
          throw new RuleFault(`${spelling} needs ${known.wordCount} value${known.wordCount > 1 ? "s" : ""}`);
        values.push(value);
      }
      if (values.length > known.wordCount) throw new RuleFault(`${spelling} takes no value`);
    } else {
      if (FREE_TEXT_OPTIONS.has(spelling) && values.length === 0 && next < this.#words.length)
        values.push(this.#words[next++] ?? "");
      while (next < this.#words.length && !this.#isOption(next)) values.push(this.#words[next++] ?? "");
    }
    const { negated } = given;
    owner.options.push({ name: known?.name ?? spelling, spelling, isKnown: known !== undefined, negated, values });
    return next;
  }

  #isOption(at: number): boolean {
    const word = this.#words[at] ?? "";
    if (this.#quoted?.has(at) === true) return false;
    return word === "!" || /^-\D/.test(word);
  }

  /** The extension that an option belongs to: the last one named, or an earlier one that has it, or the protocol's own. */
  #ownerOf(spelling: string): Extension {
    const current = this.#current;
    if (current?.known?.options.has(spelling)) return current;
    const earlier = this.#extensions.findLast((extension) => extension.known?.options.has(spelling));
    if (earlier !== undefined) return earlier;
    const implied = PROTOCOL_MODULES.get(this.#protocol ?? "");
    if (implied !== undefined && !this.#extensions.some((extension) => extension.name === implied)) {
      const syntax = MATCH_SYNTAX.get(implied);
      if (syntax === undefined ? current === undefined : syntax.options.has(spelling)) return this.#load(implied);
    }
    if (current === undefined) throw new RuleFault(`unknown option ${quote(spelling)}`);
    return current;
  }

  #readTarget(): Target {
    if (this.#goto !== undefined) return { kind: "goto", chain: this.#goto };
    const target = this.#target;
    if (target === undefined) return NO_TARGET;
    if (target.options.length > 0) return readTarget(target, this.#context);
    let cached = this.#context.targets.get(target.name);
    if (cached === undefined || (cached.kind !== "jump" && this.#context.chains?.has(target.name))) {
      cached = readTarget(target, this.#context);
      this.#context.targets.set(target.name, cached);
    }
    return cached;
  }
}

const HYPHEN = 45;
const NO_TARGET: Target = { kind: "none" };

function quote(word: string): string {
  return JSON.stringify(visible(word));
}

function readMatch({ name, options, known }: Extension, context: RuleContext): Match {
  const [option] = options;
  const cacheKey =
    options.length === 1 && option?.values.length === 1 && name !== "comment"
      ? `${name} ${option.negated ? "!" : ""}${option.name} ${option.values[0] ?? ""}`
      : undefined;
  const cached = cacheKey === undefined ? undefined : context.matches.get(cacheKey);
  if (cached !== undefined) return cached;
  const match = (known === undefined ? undefined : MATCH_SYNTAX.get(name)?.read(options, context.family)) ?? {
    kind: "unknown",
    module: name,
    words: options.flatMap(optionWords),
  };
  if (cacheKey !== undefined) context.matches.set(cacheKey, match);
  return match;
}

function readTarget({ name, known, options }: Extension, context: RuleContext): Target {
  const isChain = context.chains?.has(name) === true;
  const understood = known === undefined ? undefined : TARGET_SYNTAX.get(name)?.read(options, context.family);
  if (understood !== undefined) return understood;
  if (isChain || (options.length === 0 && known === undefined && !isTargetName(name))) {
    if (options.length > 0) throw new RuleFault(`chain ${quote(name)} takes no options`);
    return { kind: "jump", chain: name };
  }
  return { kind: "unknown", name, words: options.flatMap(optionWords) };
}
