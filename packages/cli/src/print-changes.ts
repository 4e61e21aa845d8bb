import { formatChange, type IptablesTools, restoreArguments, type TableChange, toolName } from "@svcproxy/iptables";

/** What `--dry-run` prints: for each table the program that would be run, and its input. */
export function printChanges(changes: readonly TableChange[], tools: IptablesTools): string {
  if (changes.length === 0) return "# nothing to change\n";
  return changes.map((change) => `# ${restoreCommand(change, tools)}\n${formatChange(change)}`).join("");
}

/** The program that takes a change, with its arguments. */
export function restoreCommand({ family }: TableChange, tools: IptablesTools): string {
  return [toolName(tools, family, "-restore"), ...restoreArguments()].join(" ");
}

/** The changed tables in words, each once: `nat (IPv4), filter (IPv4)`. */
export function tablesOf(changes: readonly TableChange[]): string {
  return [...new Set(changes.map(({ family, table }) => `${table} (IPv${family})`))].join(", ");
}
