import { visible } from "@svcproxy/topology";

/** Widest line of what people read. */
const COLUMNS = 80;

/**
 * Breaks text at blanks into lines of at most 80 columns; a word that is longer stands alone. What the text brings along
 * from a file cannot forge a line.
 */
export function wrap(
  text: string,
  { indent, first = indent }: { readonly indent: string; readonly first?: string },
): readonly string[] {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of visible(text).split(" ")) {
    if (!isEmpty && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = `${indent}${word}`;
    } else {
      line += isEmpty ? word : ` ${word}`;
    }
    isEmpty = false;
  }
  return [...lines, line];
}
