import type { Outcome } from "../walk/outcome.ts";
import { tellEnd, tellMark } from "./describe-event.ts";

/** How a way ended, as part of a sentence. */
export function tellOutcomeOf(outcome: Outcome): string {
  const { verdict, destination, source, masqueraded, because } = outcome;
  switch (verdict) {
    case "accepted":
      return `accepted at ${tellEnd(destination)} as ${tellEnd(source)}${masqueraded ? " (masqueraded)" : ""}`;
    case "untouched":
      return masqueraded
        ? `passed on to ${tellEnd(destination)} as ${tellEnd(source)} (masqueraded): ${because}`
        : `left as it was, to ${tellEnd(destination)} as ${tellEnd(source)}: ${because}`;
    case "refused":
      return `refused: ${because}`;
    case "dropped":
      return `dropped in silence: ${because}`;
    case "undecided":
      return `not decided: ${because}`;
  }
}

/** Outcomes that are alike but for the mark, which another program may act on, are told apart by it. */
export function tellLastMark({ verdict, mark }: Outcome): string {
  return mark === 0 || (verdict !== "accepted" && verdict !== "untouched") ? "" : `, with mark ${tellMark(mark)}`;
}
