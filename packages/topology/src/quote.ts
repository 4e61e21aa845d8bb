/** Names and words of a file are shorter; what is longer is cut in a message, so that a text of 64 MiB is not printed again and again. */
const MAX_QUOTED = 400;
const ENDS = 180;

/** A text from a file as a message quotes it: in quotes, on one line; of one that is longer than any name its two ends. */
export function quote(text: string): string {
  return JSON.stringify(text.length <= MAX_QUOTED ? text : `${text.slice(0, ENDS)}…${text.slice(-ENDS)}`);
}
