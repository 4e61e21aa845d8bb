import type { RuleCount } from "@svcproxy/host";
import type { Command } from "@svcproxy/rules";
import type { DesiredRules } from "../desired-rules.ts";
import type { TableChange } from "../kernel/table-change.ts";

/**
 * Counts at once what was written, so that a whole load is not kept for it, and the rest when somebody asks.
 *
 * @param desired our rules as they are
 * @param changes what was written last
 * @returns tells one count for each table of each family in which we have rules
 */
export function countRules(
  desired: readonly DesiredRules[],
  changes: readonly TableChange[],
): () => readonly RuleCount[] {
  const written = new Map<string, number>();
  for (const { family, table, commands } of changes) {
    const key = `${family} ${table}`;
    written.set(key, (written.get(key) ?? 0) + commands.filter(writesRule).length);
  }
  return () =>
    desired.flatMap(({ family, tables, hooks }) =>
      tables.map(({ name: table, chains }) => {
        const inHooks = hooks.filter((hook) => hook.table === table).length;
        const total = chains.reduce((sum, { rules }) => sum + rules.length, inHooks);
        return { family, table, total, written: written.get(`${family} ${table}`) ?? 0 };
      }),
    );
}

function writesRule({ kind }: Command): boolean {
  return kind === "append" || kind === "insert" || kind === "replace";
}
