import type { Outcome } from "../walk/outcome.ts";
import { describeEnd, formatMark } from "./describe-event.ts";

/** How a way ended, as part of a sentence. */
export function describeOutcome(outcome: Outcome): string {
  const { verdict, destination, source, masqueraded, because } = outcome;
  switch (verdict) {
    case "accepted":
      return `accepted at ${describeEnd(destination)} as ${describeEnd(source)}${masqueraded ? " (masqueraded)" : ""}`;
    case "untouched":
      return masqueraded
        ? `passed on to ${describeEnd(destination)} as ${describeEnd(source)} (masqueraded): ${because}`
        : `left as it was, to ${describeEnd(destination)} as ${describeEnd(source)}: ${because}`;
    case "refused":
      return `refused: ${because}`;
    case "dropped":
      return `dropped in silence: ${because}`;
    case "undecided":
      return `not decided: ${because}`;
  }
}

/** Outcomes that are alike but for the mark, which another program may act on, are told apart by it. */
export function describeLastMark({ verdict, mark }: Outcome): string {
  return mark === 0 || (verdict !== "accepted" && verdict !== "untouched") ? "" : `, with mark ${formatMark(mark)}`;
}
