/** A place in a text; both 1-based, the column in characters. */
export interface TextPosition {
  readonly line: number;
  readonly column: number;
}

/** Where the character at `offset` (0-based, in UTF-16 units) stands. */
export function positionAt(text: string, offset: number): TextPosition {
  return positionFinder(text)(offset);
}

/** Units between two places that a finder remembers: what one answer takes at most, however long the line is. */
const STRIDE = 128;

/** The same for many offsets of one text. */
export function positionFinder(text: string): (offset: number) => TextPosition {
  const remembered: TextPosition[] = [START];
  return (offset) => {
    const nearest = Math.floor(Math.min(offset, text.length) / STRIDE);
    for (let index = remembered.length; index <= nearest; index++) {
      remembered.push(walk(text, remembered[index - 1] ?? START, { from: (index - 1) * STRIDE, to: index * STRIDE }));
    }
    return walk(text, remembered[nearest] ?? START, { from: nearest * STRIDE, to: offset });
  };
}

const START: TextPosition = { line: 1, column: 1 };
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** The place of `to`, where that of `from` is `start`. Lines end with \n, \r\n or \r; a surrogate pair is one character. */
function walk(text: string, start: TextPosition, { from, to }: { from: number; to: number }): TextPosition {
  let { line, column } = start;
  for (let index = from; index < to; index++) {
    const code = text.charCodeAt(index);
    if (code === LINE_FEED || (code === CARRIAGE_RETURN && text.charCodeAt(index + 1) !== LINE_FEED)) {
      line++;
      column = 1;
    } else if (!isLowSurrogate(code) || index === 0 || !isHighSurrogate(text.charCodeAt(index - 1))) column++;
  }
  return { line, column };
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code < 0xdc00;
}

function isLowSurrogate(code: number): boolean {
  return code >= 0xdc00 && code < 0xe000;
}
