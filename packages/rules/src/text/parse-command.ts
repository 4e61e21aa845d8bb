import { visible } from "@svcproxy/topology";
import type { Counters, Rule } from "../rule-set.ts";
import { BUILT_IN_CHAINS } from "../rule-set.ts";
import type { RuleContext } from "./header-options.ts";
import type { RuleWords } from "./parse-rule.ts";
import { FREE_TEXT_OPTIONS, parseRule } from "./parse-rule.ts";
import { RuleFault } from "./rule-fault.ts";

export interface CommandOptions {
  /** The table where no `-t` names one. */
  readonly table: string;
  readonly context: RuleContext;
  readonly counters?: Counters | undefined;
}

/** Every spelling of the commands that change rules, by the short one. */
const COMMANDS: ReadonlyMap<string, string> = new Map([
  ["--append", "-A"],
  ["--insert", "-I"],
  ["--delete", "-D"],
  ["--replace", "-R"],
  ["--new-chain", "-N"],
  ["--new", "-N"],
  ["--delete-chain", "-X"],
  ["--flush", "-F"],
  ["--policy", "-P"],
  ["--zero", "-Z"],
  ["--check", "-C"],
  ["--rename-chain", "-E"],
  ...["-A", "-I", "-D", "-R", "-N", "-X", "-F", "-P", "-Z", "-C", "-E"].map((name) => [name, name] as const),
]);

/** Flags of iptables itself that change no rule, and whether a number may follow. */
const GLOBAL_FLAGS: ReadonlyMap<string, boolean> = new Map([
  ["-w", true],
  ["--wait", true],
  ["-W", true],
  ["--wait-interval", true],
  ["-v", false],
  ["--verbose", false],
  ["-n", false],
  ["--numeric", false],
  ["-x", false],
  ["--exact", false],
  ["--line-numbers", false],
]);

/** `-L`, `-S`, `-nvL`, …: they only print. */
const LISTING = /^(-[nvxZ]*[LS][nvx]*|--list|--list-rules|-V|--version|-h|--help)$/;

/**
 * Reads the arguments of one `iptables` call; several addresses behind `-s` or `-d` make several commands, as there.
 *
 * @returns nothing for a call that only lists, checks or zeroes counters
 * @throws RuleFault
 */
export function parseCommandWords(line: RuleWords, options: CommandOptions): Command[] {
  const call = splitCall(line, options.table);
  const [name, chain, ...more] = call.command;
  const { table } = call;
  const needChain = (): string => {
    if (chain === undefined) throw new RuleFault(`${name} needs a chain`);
    return chain;
  };
  const rules = (): Rule[] => expandAddresses(call.rule).map((words) => readRule(words, options));
  switch (name) {
    case undefined:
      if (call.isListing) return [];
      throw new RuleFault("no command such as -A or -N in it");
    case "-C":
    case "-Z":
      return [];
    case "-A":
      return rules().map((rule) => ({ kind: "append", table, chain: needChain(), rule }));
    case "-I": {
      const position = readPosition(more[0] ?? "1");
      // Each goes to the same place in turn, so the last address ends up first.
      return rules().map((rule) => ({ kind: "insert", table, chain: needChain(), position, rule }));
    }
    case "-R":
      return rules().map((rule) => ({
        kind: "replace",
        table,
        chain: needChain(),
        position: readPosition(more[0] ?? ""),
        rule,
      }));
    case "-D":
      if (more[0] !== undefined)
        return [{ kind: "deleteAt", table, chain: needChain(), position: readPosition(more[0]) }];
      return rules().map((rule) => ({ kind: "delete", table, chain: needChain(), rule }));
    case "-N":
      return [{ kind: "newChain", table, chain: needChain() }];
    case "-X":
      return [{ kind: "deleteChain", table, ...(chain === undefined ? {} : { chain }) }];
    case "-F":
      return [{ kind: "flush", table, ...(chain === undefined ? {} : { chain }) }];
    case "-P":
      if (more[0] !== "ACCEPT" && more[0] !== "DROP") throw new RuleFault("a policy is ACCEPT or DROP");
      return [{ kind: "policy", table, chain: needChain(), policy: more[0] }];
    default:
      throw new RuleFault(`${name} is not understood here`);
  }
}

interface Call {
  readonly table: string;
  /** The command and what belongs to it: `-I`, chain, position. */
  readonly command: readonly string[];
  readonly rule: RuleWords;
  readonly isListing: boolean;
}

/** How many words at most, and at least, follow a command that are not a rule. */
function splitCall({ words, quoted }: RuleWords, defaultTable: string): Call {
  let table = defaultTable;
  let isListing = false;
  let command: string[] = [];
  const ruleWords: string[] = [];
  const ruleQuoted = new Set<number>();
  const isOption = (at: number) => quoted?.has(at) !== true && (words[at] ?? "").startsWith("-");
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    const name = isOption(at) ? COMMANDS.get(word) : undefined;
    if (name !== undefined) {
      if (command.length > 0) throw new RuleFault(`more than one command: ${command[0]} and ${word}`);
      command = [name, ...commandWords(name, words.slice(at + 1, at + 3), (offset) => isOption(at + 1 + offset))];
      at += command.length - 1;
    } else if (isOption(at) && (word === "-t" || word === "--table")) {
      table = words[++at] ?? "";
      if (!Object.hasOwn(BUILT_IN_CHAINS, table))
        throw new RuleFault(`there is no table ${JSON.stringify(visible(table))}`);
    } else if (isOption(at) && GLOBAL_FLAGS.has(word)) {
      if (GLOBAL_FLAGS.get(word) && /^\d+$/.test(words[at + 1] ?? "")) at++;
    } else if (isOption(at) && LISTING.test(word)) {
      isListing = true;
    } else {
      if (quoted?.has(at)) ruleQuoted.add(ruleWords.length);
      ruleWords.push(word);
      if (FREE_TEXT_OPTIONS.has(word) && isOption(at) && at + 1 < words.length) {
        at++;
        ruleQuoted.add(ruleWords.length);
        ruleWords.push(words[at] ?? "");
      }
    }
  }
  return { table, command: isListing ? [] : command, rule: { words: ruleWords, quoted: ruleQuoted }, isListing };
}

/** The chain, and the number or policy that goes with some commands. */
function commandWords(name: string, next: readonly string[], isOption: (offset: number) => boolean): readonly string[] {
  const [chain, second] = next;
  if (chain === undefined || isOption(0) || (chain === "!" && name !== "-N")) return [];
  const takesNumber = name === "-I" || name === "-D" || name === "-R";
  const takesSecond = name === "-P" || name === "-E" || (takesNumber && /^\d+$/.test(second ?? ""));
  return takesSecond && second !== undefined ? [chain, second] : [chain];
}

function readPosition(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new RuleFault(`${JSON.stringify(visible(text))} is not a rule number`);
  return Number(text);
}

function readRule(words: RuleWords, { context, counters }: CommandOptions): Rule {
  const rule = parseRule(words, 0, context);
  return counters === undefined ? rule : { ...rule, counters };
}

const ADDRESS_OPTIONS: ReadonlySet<string> = new Set(["-s", "--source", "--src", "-d", "--destination", "--dst"]);

/** `-s a,b -d c,d` stands for four rules, sources first. */
function expandAddresses(line: RuleWords): RuleWords[] {
  const at = line.words.findIndex(
    (word, index) =>
      word.includes(",") && ADDRESS_OPTIONS.has(line.words[index - 1] ?? "") && !line.quoted?.has(index - 1),
  );
  if (at < 0) return [line];
  return (line.words[at] ?? "")
    .split(",")
    .flatMap((address) => expandAddresses({ words: line.words.with(at, address), quoted: line.quoted }));
}

/** One step of building a rule set, as one `iptables` command line does it. */
export type Command =
  | { readonly kind: "newChain"; readonly table: string; readonly chain: string }
  | { readonly kind: "append"; readonly table: string; readonly chain: string; readonly rule: Rule }
  /** `position` is 1-based, as in `-I CHAIN 1`. */
  | {
      readonly kind: "insert";
      readonly table: string;
      readonly chain: string;
      readonly position: number;
      readonly rule: Rule;
    }
  | { readonly kind: "delete"; readonly table: string; readonly chain: string; readonly rule: Rule }
  | { readonly kind: "deleteAt"; readonly table: string; readonly chain: string; readonly position: number }
  | {
      readonly kind: "replace";
      readonly table: string;
      readonly chain: string;
      readonly position: number;
      readonly rule: Rule;
    }
  | { readonly kind: "flush"; readonly table: string; readonly chain?: string }
  | { readonly kind: "deleteChain"; readonly table: string; readonly chain?: string }
  | { readonly kind: "policy"; readonly table: string; readonly chain: string; readonly policy: "ACCEPT" | "DROP" };
