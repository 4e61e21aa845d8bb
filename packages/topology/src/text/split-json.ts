/**
 * The JSON values that stand one behind the other in a text, with nothing but blanks between them: what `kubectl get -o json` leaves in
 * a pipe that two of them write to, and JSON lines.
 *
 * @returns where each begins and ends (exclusive); undefined where the text is not a row of two or more objects and lists
 */
export function splitJson(text: string): readonly { readonly start: number; readonly end: number }[] | undefined {
  const parts: { start: number; end: number }[] = [];
  let at = skipBlanks(text, 0);
  while (at < text.length) {
    const end = endOfValue(text, at);
    if (end === undefined) return undefined;
    parts.push({ start: at, end });
    at = skipBlanks(text, end);
  }
  return parts.length > 1 ? parts : undefined;
}

const BLANK = /[ \t\r\n]*/y;

function skipBlanks(text: string, start: number): number {
  BLANK.lastIndex = start;
  return start + (BLANK.exec(text)?.[0].length ?? 0);
}

/** What opens, closes or hides in an object or a list. */
const MARK = /["[\]{}]/g;
const STRING_END = /["\\\n]/g;

/** Behind the object or list that begins at `start`; undefined where none does, or it does not end. */
function endOfValue(text: string, start: number): number | undefined {
  let depth = 0;
  MARK.lastIndex = start;
  if (text[start] !== "{" && text[start] !== "[") return undefined;
  for (let mark = MARK.exec(text); mark !== null; mark = MARK.exec(text)) {
    if (mark[0] === '"') {
      const end = endOfString(text, mark.index + 1);
      if (end === undefined) return undefined;
      MARK.lastIndex = end;
    } else if (mark[0] === "{" || mark[0] === "[") depth++;
    else if (--depth === 0) return mark.index + 1;
  }
  return undefined;
}

function endOfString(text: string, start: number): number | undefined {
  STRING_END.lastIndex = start;
  for (let mark = STRING_END.exec(text); mark !== null; mark = STRING_END.exec(text)) {
    if (mark[0] === '"') return mark.index + 1;
    if (mark[0] === "\n") return undefined;
    STRING_END.lastIndex = mark.index + 2;
  }
  return undefined;
}
