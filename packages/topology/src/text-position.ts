/** A place in a text; both 1-based, the column in characters. */
export interface TextPosition {
  readonly line: number;
  readonly column: number;
}

/** Where the character at `offset` (0-based, in UTF-16 units) stands. */
export function positionAt(text: string, offset: number): TextPosition {
  return positionFinder(text)(offset);
}

/** The same for many offsets of one text: knows where the lines start. */
export function positionFinder(text: string): (offset: number) => TextPosition {
  const starts = [0];
  for (const { index, 0: lineBreak } of text.matchAll(/\r\n|\n|\r/g)) starts.push(index + lineBreak.length);
  return (offset) => {
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: [...text.slice(starts[low], offset)].length + 1 };
  };
}
