const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
] as const;

/** Seconds as nft prints them: `3h`, `1d10m`. */
export function formatDuration(seconds: number): string {
  let rest = seconds;
  let text = "";
  for (const [letter, size] of UNITS) {
    if (rest >= size) text += `${Math.floor(rest / size)}${letter}`;
    rest %= size;
  }
  return text === "" ? "0s" : text;
}

/** @returns undefined where it is not a duration, or not of whole seconds */
export function parseDuration(text: string): number | undefined {
  const [all, ...numbers] = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text) ?? [];
  if (all === undefined || all === "") return undefined;
  return UNITS.reduce((sum, [, size], index) => sum + Number(numbers[index] ?? 0) * size, 0);
}
