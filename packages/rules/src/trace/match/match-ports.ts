import type { NegatableRange, NumberRange } from "../../match.ts";
import { anyOf, decided, type MatchResult, NO, negate, unknown, YES } from "./match-result.ts";

/** Whether a number of which we know a range lies in `wanted`. */
export function matchRange(possible: NumberRange | undefined, wanted: NumberRange, what: string): MatchResult {
  if (possible === undefined) return unknown(`${what} is not known`);
  // The range may run backwards: then nothing is in it.
  if (wanted.from > wanted.to) return NO;
  if (possible.from >= wanted.from && possible.to <= wanted.to) return YES;
  if (possible.from > wanted.to || possible.to < wanted.from) return NO;
  return unknown(`${what} may be any of ${possible.from}-${possible.to}`);
}

export function matchNegatableRange(
  possible: NumberRange | undefined,
  wanted: NegatableRange | undefined,
  what: string,
): MatchResult {
  return wanted === undefined ? YES : negate(matchRange(possible, wanted, what), wanted.negated);
}

/** `multiport`: any of the ranges, of either end where `direction` says so. */
export function matchPortList(
  ends: readonly { readonly possible: NumberRange | undefined; readonly what: string }[],
  ranges: readonly NumberRange[],
): MatchResult {
  if (ends.some(({ possible }) => possible === undefined)) return NO;
  return anyOf(
    ends.map(({ possible, what }) => {
      // Several neighbouring ranges may cover together what none covers alone.
      const covered = possible !== undefined && coversAll(ranges, possible);
      return covered ? decided(true) : anyOf(ranges.map((range) => matchRange(possible, range, what)));
    }),
  );
}

function coversAll(ranges: readonly NumberRange[], { from, to }: NumberRange): boolean {
  let next = from;
  for (const range of [...ranges].sort((a, b) => a.from - b.from)) {
    if (range.from > next) break;
    next = Math.max(next, range.to + 1);
  }
  return next > to;
}
