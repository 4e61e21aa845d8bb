import { totalCount } from "@svcproxy/host";
import {
  type Difference,
  formatChange,
  type IptablesTools,
  type RuleReport,
  restoreArguments,
  type TableChange,
  toolName,
  type Variant,
} from "@svcproxy/iptables";
import type { Family } from "@svcproxy/topology";

/** What `apply --json` prints, and `cleanup --json` for each variant. */
export interface ChangeReport {
  readonly variant: Variant;
  /** Whether rules were changed, or would be (`--dry-run`). */
  readonly changed: boolean;
  /** The changed tables, each once. */
  readonly tables: readonly { readonly family: Family; readonly table: string }[];
  /** What told the host from the plan before, as `diff --json` has it. */
  readonly differences: readonly Difference[];
  /** How many UDP flows were deleted, because they went to endpoints that are gone. */
  readonly deletedUdpFlows: number;
  /** With `--dry-run`: the programs that would be run, and their input. */
  readonly restore?: readonly { readonly command: string; readonly input: string }[];
}

/** The report of a run, or of one that would change something. */
export function reportChanges(
  { tools, changes, deletedUdpFlows, differences }: RuleReport,
  { isDryRun }: { readonly isDryRun: boolean },
): ChangeReport {
  const tables = new Map(changes.map(({ family, table }) => [`${family} ${table}`, { family, table }]));
  return {
    variant: tools.variant,
    changed: changes.length > 0,
    tables: [...tables.values()],
    differences: differences(),
    deletedUdpFlows: totalCount(deletedUdpFlows),
    ...(isDryRun ? { restore: changes.map((change) => restoreOf(change, tools)) } : {}),
  };
}

function restoreOf(change: TableChange, tools: IptablesTools): { readonly command: string; readonly input: string } {
  return { command: restoreCommand(change, tools), input: formatChange(change) };
}

/** What `--dry-run` prints: for each table the program that would be run, and its input. */
export function printChanges(changes: readonly TableChange[], tools: IptablesTools): string {
  if (changes.length === 0) return "# nothing to change\n";
  return changes.map((change) => `# ${restoreCommand(change, tools)}\n${formatChange(change)}`).join("");
}

/** The program that takes a change, with its arguments. */
function restoreCommand({ family }: TableChange, tools: IptablesTools): string {
  return [toolName(tools, family, "-restore"), ...restoreArguments()].join(" ");
}

/** The changed tables in words, each once: `nat (IPv4), filter (IPv4)`. */
export function tablesOf(changes: readonly TableChange[]): string {
  return [...new Set(changes.map(({ family, table }) => `${table} (IPv${family})`))].join(", ");
}
