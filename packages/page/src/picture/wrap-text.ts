/**
 * Breaks a text into lines of at most `width` characters, at blanks where it can be.
 *
 * @param most lines; what is left over ends in `…`
 */
export function wrapText(text: string, { width, most = Number.POSITIVE_INFINITY }: { width: number; most?: number }) {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    for (const piece of piecesOf(word, width)) {
      if (line === "") line = piece;
      else if (line.length + 1 + piece.length <= width) line += ` ${piece}`;
      else {
        lines.push(line);
        line = piece;
      }
    }
  }
  if (line !== "") lines.push(line);
  if (lines.length <= most) return lines;
  const last = lines[most - 1] ?? "";
  return [...lines.slice(0, most - 1), `${last.slice(0, width - 1)}…`];
}

function piecesOf(word: string, width: number): readonly string[] {
  const pieces: string[] = [];
  for (let at = 0; at < word.length; at += width) pieces.push(word.slice(at, at + width));
  return pieces;
}
