import { visible } from "@svcproxy/topology";

/**
 * Columns of equal width under their titles, two blanks between them; an empty cell shows as `-`.
 * What names bring along (control characters, line breaks) is made visible, so a row stays a row.
 */
export function renderTable(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [titles, ...rows.map((row) => titles.map((_, column) => visible(row[column] ?? "") || "-"))];
  const widths = titles.map((_, column) => cells.reduce((width, row) => Math.max(width, lengthOf(row[column])), 0));
  return cells
    .map((row) =>
      row
        .map((cell, column) => padEnd(cell, widths[column]))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function lengthOf(cell = ""): number {
  return [...cell].length;
}

function padEnd(cell: string, width = 0): string {
  return cell + " ".repeat(width - lengthOf(cell));
}
