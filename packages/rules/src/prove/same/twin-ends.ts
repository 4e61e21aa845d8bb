import type { IndexSet } from "../space/index-set.ts";
import { isSameText } from "../space/mark-set.ts";
import type { Region, RegionField } from "../space/region.ts";
import type { EndedState, SymbolicState } from "../walk/symbolic-state.ts";

/**
 * How many kinds of packets there are where two rule sets divide packets to the same destinations alike, and the parts end alike, one
 * after the other; undefined where they do not. Of thousands of services most are of this sort, and need not be looked at any closer.
 */
export function kindsOfTwins(a: readonly EndedState[], b: readonly EndedState[]): number | undefined {
  if (a.length !== b.length) return undefined;
  let kinds = 0;
  for (const [at, one] of a.entries()) {
    const other = b[at];
    if (other === undefined || !areTwins(one, other)) return undefined;
    const before = a[at - 1];
    if (before === undefined || !isSamePart(before.state.region, one.state.region)) kinds++;
  }
  return kinds;
}

/** What tells two ends apart to whoever gets the packets, for packets of the same part. */
const FATE = ["source", "destination", "sourcePort", "destinationPort", "outInterface", "ttl"] as const;
const TRACKING = ["conntrack", "replyZone", "originalZone", "direction", "entersSwapped"] as const;
const MARKS = ["mark", "connectionMark", "tos"] as const;

function areTwins(a: EndedState, b: EndedState): boolean {
  const [one, other] = [a.state, b.state];
  if (a.ending.kind !== b.ending.kind || a.ending.kind === "undecided") return false;
  if (one.probability !== other.probability || doesMore(one) || doesMore(other)) return false;
  if (!isSamePart(one.region, other.region)) return false;
  if (a.ending.kind === "refused" && b.ending.kind === "refused")
    return JSON.stringify(a.ending.answer) === JSON.stringify(b.ending.answer);
  return (
    FATE.every((field) => one[field] === other[field]) &&
    TRACKING.every((field) => one[field] === other[field]) &&
    MARKS.every((field) => one[field]?.kept === other[field]?.kept && one[field]?.flipped === other[field]?.flipped)
  );
}

/** Whether more is to be compared than where a packet goes and as what. */
function doesMore({ assumptions, remembered, deeds }: SymbolicState): boolean {
  return assumptions !== undefined || remembered !== undefined || deeds !== undefined;
}

const FIELDS: readonly RegionField[] = ["destinationPort", "protocol", "source", "sourcePort", "state", "destination"];

function isSamePart(a: Region, b: Region): boolean {
  return (
    a === b ||
    (FIELDS.every((field) => isSameSet(a[field], b[field])) && (a.mark === b.mark || isSameText(a.mark, b.mark)))
  );
}

function isSameSet(a: IndexSet, b: IndexSet): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}
