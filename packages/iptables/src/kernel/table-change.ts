import { BUILT_IN_CHAINS, type Command, formatRule, type Rule } from "@svcproxy/rules";
import { type Family, unreachable } from "@svcproxy/topology";

/** What is fed to the kernel to change one table, whole or not at all. */
export interface TableChange {
  readonly family: Family;
  readonly table: string;
  /** All of this table. */
  readonly commands: readonly Command[];
  /** Rules that have to be there, else the change is refused: what it rests on where nobody looked. */
  readonly expected?: readonly ExpectedRule[];
}

export interface ExpectedRule {
  readonly chain: string;
  readonly rule: Rule;
}

/** The change as input for `iptables-restore --noflush`. */
export function formatChange({ family, table, commands, expected = [] }: TableChange): string {
  return tableText(table, [
    ...expected.map(({ chain, rule }) => `-C ${chain} ${formatRule(rule, { style: "restore", family })}`),
    ...commands.map((command) => formatLine(command, family)),
  ]);
}

/**
 * The same for iptables-nft-restore, which keeps the chains that its input names in a sorted list that it walks for every
 * line: 40,000 chains take it 40 s. A command that names no chain makes it fetch all chains instead, and takes 3 s. `-S`
 * is the one that changes nothing. It also makes believe that all built-in chains are there, so whatever uses one, and
 * would make it, has to stand before.
 *
 * @see nft_cache_level_set and nft_xt_fake_builtin_chains in iptables 1.8.9
 */
export function formatLargeChange({ family, table, commands }: TableChange): string {
  const isHook = ({ chain }: Command) => chain !== undefined && BUILT_IN_CHAINS[table]?.includes(chain) === true;
  const hooks = commands.filter(isHook);
  const targets = new Set(hooks.map(jumpTarget));
  const isTarget = (command: Command) => command.kind === "newChain" && targets.has(command.chain);
  const rest = commands.filter((command) => !isHook(command) && !isTarget(command));
  const lines = (part: readonly Command[]) => part.map((command) => formatLine(command, family));
  return tableText(table, [...lines(commands.filter(isTarget)), ...lines(hooks), "-S", ...lines(rest)]);
}

function jumpTarget(command: Command): string | undefined {
  if (!("rule" in command)) return undefined;
  const { target } = command.rule;
  return target.kind === "jump" || target.kind === "goto" ? target.chain : undefined;
}

/** How many chains a change names. */
export function countChains({ commands }: TableChange): number {
  return new Set(commands.map(({ chain }) => chain)).size;
}

function tableText(table: string, lines: readonly string[]): string {
  return `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
}

function formatLine(command: Command, family: Family): string {
  const { chain = "" } = command;
  const text = (rule: Rule) => formatRule(rule, { style: "restore", family });
  switch (command.kind) {
    // In restore input, to declare a chain is to make it, or to empty it where it is there.
    case "newChain":
    case "flush":
      return `:${chain} - [0:0]`;
    case "append":
      return `-A ${chain} ${text(command.rule)}`;
    case "insert":
      return `-I ${chain} ${command.position} ${text(command.rule)}`;
    case "delete":
      return `-D ${chain} ${text(command.rule)}`;
    case "deleteAt":
      return `-D ${chain} ${command.position}`;
    case "replace":
      return `-R ${chain} ${command.position} ${text(command.rule)}`;
    case "deleteChain":
      return `-X ${chain}`;
    case "policy":
      return `-P ${chain} ${command.policy}`;
    default:
      return unreachable(command);
  }
}
