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

/** Names and words of a file are shorter; what is longer is cut in a message, so that a text of 64 MiB is not printed again and again. */
const MAX_QUOTED = 400;
const ENDS = 180;

/** How to write a number that came as a text. */
export function numberHint(text: string): string | undefined {
  if (/^-?(0|[1-9][0-9]*)$/.test(text)) return `Write it without quotes: ${text}`;
  if (!/^[-+]?0[0-9]+$/.test(text)) return undefined;
  const octal = /^[-+]?[0-7]+$/.test(text) ? `${Number.parseInt(text, 8)} (octal, as kubectl reads it) or ` : "";
  return `Write the number that is meant: ${octal}${Number.parseInt(text, 10)}`;
}

/** A text from a file as a message quotes it: in quotes, on one line; of one that is longer than any name its two ends. */
export function quote(text: string): string {
  return JSON.stringify(text.length <= MAX_QUOTED ? text : `${text.slice(0, ENDS)}…${text.slice(-ENDS)}`);
}
