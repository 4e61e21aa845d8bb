import { type Command, formatRule, type Rule } from "@svcproxy/rules";
import { type Family, unreachable } from "@svcproxy/topology";

/** What is fed to the kernel to change one table, whole or not at all. */
export interface TableChange {
  readonly family: Family;
  readonly table: string;
  /** All of this table. */
  readonly commands: readonly Command[];
}

/** The change as input for `iptables-restore --noflush`. */
export function formatChange({ family, table, commands }: TableChange): string {
  const lines = commands.map((command) => formatLine(command, family));
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
