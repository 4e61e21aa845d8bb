import type { Family, Fault } from "@svcproxy/topology";
import { InputError } from "@svcproxy/topology";
import { ruleContext } from "../text/header-options.ts";
import { type Command, parseCommandWords } from "../text/parse-command.ts";
import { MAX_FAULTS, RuleFault, syntaxFault } from "../text/rule-fault.ts";
import type { ShellCommand } from "../text/shell-words.ts";
import { splitShellCommands } from "../text/shell-words.ts";
import type { ParseOptions } from "./parse-save.ts";

/** What may stand before the command that counts. */
const PREFIXES: ReadonlySet<string> = new Set(["sudo", "exec", "command"]);
/** Commands of a script that change no rule. */
const HARMLESS: ReadonlySet<string> = new Set(["set", ":", "true", "echo"]);

/**
 * Reads `iptables …` command lines, as people type them and as shell scripts hold them, in their order. Of calls of
 * `iptables` and `ip6tables` (with path, `-nft` or `-legacy`) only those of the family count.
 *
 * @throws InputError RULE_SYNTAX with every line that cannot be read (the first 20)
 */
export function parseCommands(text: string, { family = 4, file = "commands" }: ParseOptions = {}): Command[] {
  const faults: Fault[] = [];
  const lines = text.split("\n");
  const report = (line: number, fault: RuleFault) =>
    faults.push(syntaxFault(fault, { file, line, text: lines[line - 1] ?? "" }));
  const context = ruleContext(family);
  const commands: Command[] = [];
  for (const call of splitShellCommands(text, report)) {
    try {
      const rest = iptablesCall(call, family);
      if (rest !== undefined) commands.push(...parseCommandWords(rest, { table: "filter", context }));
    } catch (error) {
      if (!(error instanceof RuleFault)) throw error;
      report(call.line, error);
    }
  }
  const [first, ...rest] = faults.slice(0, MAX_FAULTS);
  if (first !== undefined) throw new InputError([first, ...rest]);
  return commands;
}

/** The words behind `iptables`; undefined for a command that does not count. */
function iptablesCall({ words, quoted }: ShellCommand, family: Family) {
  let at = 0;
  while (PREFIXES.has(words[at] ?? "")) at++;
  const tool = words[at] ?? "";
  const name = /^(?:.*\/)?(ip6?tables)(?:-nft|-legacy)?$/.exec(tool)?.[1];
  if (name === undefined) {
    if (HARMLESS.has(tool)) return undefined;
    throw new RuleFault(`${JSON.stringify(tool)} is not an iptables command`);
  }
  if (name !== (family === 4 ? "iptables" : "ip6tables")) return undefined;
  const from = at + 1;
  return { words: words.slice(from), quoted: new Set([...quoted].map((place) => place - from)) };
}
