import type { Past, WalkEvent } from "../walk/walk-state.ts";
import { eventsOf } from "./describe-event.ts";

/** So many events of a way are told from its beginning, and from its end. Thousands of services take far fewer. */
const [FIRST_TOLD, LAST_TOLD] = [1000, 500];

/** What happened on a way, in order; of a way without measure, as by chains that are jumped to twice each, the middle is left out with a sentence. */
export function toldEventsOf(past: Past | undefined): readonly WalkEvent[] {
  const events = eventsOf(past);
  const leftOut = events.length - FIRST_TOLD - LAST_TOLD;
  if (leftOut <= 1) return events;
  const text = `${leftOut.toLocaleString("en-US")} steps are left out here: rules lead to the same chains again and again`;
  return [...events.slice(0, FIRST_TOLD), { kind: "note", text }, ...events.slice(-LAST_TOLD)];
}
