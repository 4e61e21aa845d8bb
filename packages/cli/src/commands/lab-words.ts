/** What stands behind a place is passed on as it is, the `--` before it included; that one is not meant for the command. */
export function withoutSeparator(words: readonly string[]): readonly string[] {
  return words[0] === "--" ? words.slice(1) : words;
}
