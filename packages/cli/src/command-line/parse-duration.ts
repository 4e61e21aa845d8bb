import { InvalidArgumentError } from "commander";

const MILLISECONDS = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000 } as const;

/** Longest time that a timer of Node can wait. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * A duration in milliseconds: `500ms`, `30s`, `1.5m` or `15min`, `2h`; a bare number is seconds.
 *
 * @throws InvalidArgumentError where the text is not a duration, or longer than 24 days
 */
export function parseDuration(text: string): number {
  const parts = /^(\d+(?:\.\d+)?)(ms|s|m|min|h)?$/.exec(text);
  const unit = parts?.[2] ?? "s";
  if (parts === null || !isUnit(unit)) {
    throw new InvalidArgumentError("Give a duration such as 500ms, 30s, 15m or 1h; a bare number is seconds.");
  }
  const milliseconds = Math.round(Number(parts[1]) * MILLISECONDS[unit]);
  if (milliseconds > LONGEST_MS) throw new InvalidArgumentError("A duration may be 24 days at most.");
  return milliseconds;
}

function isUnit(text: string): text is keyof typeof MILLISECONDS {
  return Object.hasOwn(MILLISECONDS, text);
}
