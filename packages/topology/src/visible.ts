/**
 * What shows nothing, or makes a terminal show something else than the text: control characters (C0, C1), formatting ones (bidirectional
 * overrides, zero-width joiners and spaces), separators of lines, and all that Unicode lets a renderer leave out.
 */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}\u{2800}]/gu;

/** Such characters as `\u{…}`, a line break as `\n`, so that a name from a file cannot forge, hide or reorder a line. */
export function visible(text: string): string {
  // Compiling the other expression takes longer than the rest of a short command's output.
  if (/^[ -~]*$/.test(text)) return text;
  return text.replace(UNSEEN, (character) =>
    character === "\n" ? "\\n" : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/**
 * Such characters but for C0 as JSON writes them, `\u202e`: for text that is printed as it is and may be JSON, where they stand in
 * strings only. C0 is JSON's own to escape, and a terminal's colours begin with one.
 */
export function escapeUnseen(text: string): string {
  if (/^[\0-~]*$/.test(text)) return text;
  return text.replace(UNSEEN, (character) => (character < " " ? character : escapeUnits(character)));
}

function escapeUnits(character: string): string {
  return Array.from(
    { length: character.length },
    (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`,
  ).join("");
}
