import type { Family } from "@svcproxy/topology";
import type { Chain, Counters, RuleSet, Table } from "../rule-set.ts";
import { BUILT_IN_CHAINS } from "../rule-set.ts";
import { formatRule } from "../text/format-rule.ts";
import type { FormatOptions } from "../text/format-style.ts";
import { quoteWord } from "../text/format-style.ts";

export interface SaveFormat {
  /** Print the rules' counters too, as `iptables-save -c` and for `iptables-restore -c`; default false. */
  readonly counters?: boolean;
}

export interface RestoreFormat extends SaveFormat {
  readonly family: Family;
}

/**
 * Input for iptables-restore: each table in one transaction, every chain declared and so emptied first. A built-in chain
 * without a policy is not declared, so that with `--noflush` its other rules stay.
 *
 * @throws RangeError where a word other than a comment holds a line break, which iptables-restore cannot read
 */
export function formatRestore(tables: readonly Table[], { family, counters = false }: RestoreFormat): string {
  return formatTables(tables, { style: "restore", family, counters });
}

/** The rule set as iptables-save prints it, without its comments about when. */
export function formatSave({ tables, family }: RuleSet, { counters = false }: SaveFormat = {}): string {
  return formatTables(tables, { style: "save", family, counters });
}

type TableFormat = FormatOptions & Required<SaveFormat>;

function formatTables(tables: readonly Table[], format: TableFormat): string {
  return tables.map((table) => formatTable(table, format)).join("");
}

function formatTable({ name, chains }: Table, format: TableFormat): string {
  const lines = [`*${name}`];
  for (const chain of chains) {
    if (chain.policy === undefined && BUILT_IN_CHAINS[name]?.includes(chain.name)) continue;
    lines.push(`:${chain.name} ${chain.policy ?? "-"} ${formatCounters(chain.counters)}`);
  }
  for (const chain of chains) pushRules(lines, chain, format);
  lines.push("COMMIT", "");
  return lines.join("\n");
}

function pushRules(lines: string[], { name, rules }: Chain, format: TableFormat): void {
  // iptables-save prints a chain's name as it is.
  const head = `-A ${format.style === "save" ? name : quoteWord(name, format)}`;
  for (const rule of rules) {
    const counters = format.counters ? `${formatCounters(rule.counters)} ` : "";
    const text = formatRule(rule, format);
    lines.push(text === "" ? `${counters}${head}` : `${counters}${head} ${text}`);
  }
}

function formatCounters(counters: Counters | undefined): string {
  return counters === undefined ? "[0:0]" : `[${counters.packets}:${counters.bytes}]`;
}
