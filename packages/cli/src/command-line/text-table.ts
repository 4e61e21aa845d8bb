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

/** Columns of a terminal: letters of East Asia and pictures take two, accents that stand above the letter before none. */
function lengthOf(cell = ""): number {
  if (/^[ -~]*$/.test(cell)) return cell.length;
  return Array.from(cell).reduce(
    (width, character) => width + (WIDE.test(character) ? 2 : /^[\p{Mn}\p{Me}]$/u.test(character) ? 0 : 1),
    0,
  );
}

/** @see Unicode Standard Annex #11, wide and full-width */
const WIDE =
  /^[\u{1100}-\u{115f}\u{2e80}-\u{303e}\u{3041}-\u{a4cf}\u{ac00}-\u{d7a3}\u{f900}-\u{faff}\u{fe30}-\u{fe6f}\u{ff01}-\u{ff60}\u{ffe0}-\u{ffe6}\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]$/u;

function padEnd(cell: string, width = 0): string {
  return cell + " ".repeat(width - lengthOf(cell));
}
