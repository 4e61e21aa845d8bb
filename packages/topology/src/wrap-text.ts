/** Of terminals as they have always been. */
const COLUMNS = 80;

/** Breaks a text between its words into lines of at most 80 columns; a longer word is left whole. */
export function wrapText(
  text: string,
  { first, next }: { readonly first: string; readonly next: string },
): readonly string[] {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of text.split(" ")) {
    if (!isEmpty && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = next;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}
