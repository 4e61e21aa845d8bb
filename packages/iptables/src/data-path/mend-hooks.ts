import type { Chain, RuleSet } from "@svcproxy/rules";
import type { DesiredRules } from "../desired-rules.ts";
import { listDifferences } from "../kernel/differences.ts";
import { findDifference } from "../kernel/find-difference.ts";
import { ownedTable, unplanned } from "../kernel/owned-table.ts";
import { type ChainPlace, type Interruptible, RestoreRefused, type RuleTables } from "../kernel/rule-tables.ts";
import type { TableChange } from "../kernel/table-change.ts";
import type { ApplyRun, Written } from "./apply-run.ts";

export interface MendHooksInput extends Interruptible {
  readonly written: Written;
  readonly tables: RuleTables;
  readonly run: ApplyRun;
}

/**
 * Puts back what is gone of our rules in built-in chains, where these can be listed alone. A look at all rules takes the larger part of a second with
 * 5,000 services, and without these few none of them is asked. What else may have changed is left to the look that follows.
 *
 * @throws EnvironmentError where no tool can be started
 */
export async function mendHooks({ written, tables, run, signal }: MendHooksInput): Promise<void> {
  await Promise.all(
    written.rules.map(async (rules) => {
      const found = await tables.readChains?.(rules.family, { places: placesOf(rules), signal });
      if (found === undefined) return;
      const { families, changes } = findDifference([believed(found, { rules, marks: written.marks })], [rules], {});
      for (const change of changes) {
        if (!isAboutHooks(change, rules) || !(await isTaken(change, tables))) continue;
        run.changes.push(change);
        const inTable = families.map((each) => ({
          ...each,
          tables: each.tables.filter(({ table }) => table.name === change.table),
        }));
        run.mended.push(...listDifferences(inTable));
      }
    }),
  );
}

/** The marks of our rules. */
export function marksOf(saved: readonly RuleSet[]): Written["marks"] {
  return new Map(
    saved.flatMap(({ family, tables }) =>
      tables.map((table) => [`${family} ${table.name}`, [...ownedTable(table, unplanned(table.name)).marks]] as const),
    ),
  );
}

function placesOf({ hooks }: DesiredRules): readonly ChainPlace[] {
  return [...new Map(hooks.map(({ table, chain }) => [`${table} ${chain}`, { table, chain }])).values()];
}

/** All rules as they would be if nobody had changed any but those in the built-in chains. */
function believed(
  found: RuleSet,
  { rules, marks }: { readonly rules: DesiredRules; readonly marks: Written["marks"] },
): RuleSet {
  const { family } = rules;
  const names = [...new Set(rules.tables.map(({ name }) => name))];
  return {
    family,
    tables: names.map((name) => ({
      name,
      chains: [
        ...found.tables.filter((table) => table.name === name).flatMap(({ chains }) => chains.map(asBuiltIn)),
        ...rules.tables.filter((table) => table.name === name).flatMap(({ chains }) => chains),
        ...(marks.get(`${family} ${name}`) ?? []).map((mark): Chain => ({ name: mark, rules: [] })),
      ],
    })),
  };
}

function asBuiltIn(chain: Chain): Chain {
  return { policy: "ACCEPT", ...chain };
}

function isAboutHooks({ table, commands }: TableChange, { hooks }: DesiredRules): boolean {
  return commands.every(({ chain }) => hooks.some((hook) => hook.table === table && hook.chain === chain));
}

/** Refused where more is gone than these. */
async function isTaken(change: TableChange, tables: RuleTables): Promise<boolean> {
  try {
    await tables.restore(change);
    return true;
  } catch (error) {
    if (!(error instanceof RestoreRefused)) throw error;
    return false;
  }
}
