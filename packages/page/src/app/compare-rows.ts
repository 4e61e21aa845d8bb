import type { CountedView, ElementView, RuleView } from "../model.ts";

/** What one host has of a row. */
export interface RowCell extends CountedView {
  /** 1-based place of a rule in its chain. */
  readonly number?: number;
}

/** A rule or an element, and what each host has of it. */
export interface ComparedRow {
  readonly key: string;
  /** The chain or the map in which it stands. */
  readonly place: string;
  readonly text: string;
  /** What it says of itself. */
  readonly comment?: string;
  /** One for each host, in their order; undefined where a host does not have it. */
  readonly cells: readonly (RowCell | undefined)[];
  /** Whether some host has it and another does not. */
  readonly differs: boolean;
}

interface Row extends RowCell {
  readonly place: string;
  readonly text: string;
  readonly comment?: string;
}

/** @param rules of each host, in the order of hosts */
export function compareRules(rules: readonly (readonly RuleView[])[]): readonly ComparedRow[] {
  return compareRows(
    rules.map((own) =>
      own.map(({ family, table, chain, rule, ...row }) => ({
        ...row,
        // Only iptables has tables of the same name for both families.
        place: `${table} ${chain}${family === 6 && !table.includes(" ") ? " (IPv6)" : ""}`,
        text: rule,
      })),
    ),
  );
}

/** @param elements of each host, in the order of hosts */
export function compareElements(elements: readonly (readonly ElementView[])[]): readonly ComparedRow[] {
  return compareRows(
    elements.map((own) =>
      own.map(({ family: _family, table, set, element, ...row }) => ({
        ...row,
        place: `${table} @${set}`,
        text: element,
      })),
    ),
  );
}

/** Rows are the same where their place and text are; those that differ come first, and else those of one place stand together. */
function compareRows(lists: readonly (readonly Row[])[]): readonly ComparedRow[] {
  const rows = new Map<string, { readonly row: Row; readonly cells: (RowCell | undefined)[] }>();
  for (const [host, list] of lists.entries()) {
    const seen = new Map<string, number>();
    for (const row of list) {
      const text = `${row.place}\n${row.text}`;
      // A chain may have the same rule twice.
      const copy = seen.get(text) ?? 0;
      seen.set(text, copy + 1);
      const key = `${text}\n${copy}`;
      const known = rows.get(key) ?? { row, cells: lists.map(() => undefined) };
      known.cells[host] = row;
      rows.set(key, known);
    }
  }
  const compared = Array.from(rows, ([key, { row, cells }]): ComparedRow => {
    const { place, text, comment } = row;
    const differs = cells.some((cell) => cell === undefined);
    return { key, place, text, cells, differs, ...(comment === undefined ? {} : { comment }) };
  });
  return [true, false].flatMap((differs) => together(compared.filter((row) => row.differs === differs)));
}

function together(rows: readonly ComparedRow[]): readonly ComparedRow[] {
  return [...Map.groupBy(rows, ({ place }) => place).values()].flat();
}
