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
