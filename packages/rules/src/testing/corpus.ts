import { readFileSync } from "node:fs";
import type { Family } from "@svcproxy/topology";
import { BUILT_IN_CHAINS } from "../rule-set.ts";

/** A rule for which the kernel was asked: `fixtures/corpus.tsv` has one of each match and target, and of many unknown ones. */
export interface CorpusRule {
  readonly family: Family;
  readonly table: string;
  /** `-A CHAIN …` as people write it. */
  readonly written: string;
  /** The same line as iptables-save 1.8.9 printed it, nft and legacy alike. */
  readonly saved: string;
}

export function readCorpus(family: Family): readonly CorpusRule[] {
  const lines = readFileSync(new URL("../../fixtures/corpus.tsv", import.meta.url), "utf8")
    .trimEnd()
    .split("\n");
  return lines
    .map((line) => line.split("\t"))
    .filter(([word]) => word === String(family))
    .map(([, table = "", written = "", saved = ""]) => ({ family, table, written, saved }));
}

/** Restore text of one table with the chains that the corpus uses. */
export function corpusTable(table: string, rules: readonly string[]): string {
  const builtIn = BUILT_IN_CHAINS[table] ?? [];
  return [
    `*${table}`,
    ...builtIn.map((chain) => `:${chain} ACCEPT [0:0]`),
    ":U - [0:0]",
    ":Y - [0:0]",
    ...rules,
    "COMMIT",
    "",
  ].join("\n");
}
