import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { NEW_STATE } from "../compile/condition.ts";
import { singleSet } from "../space/index-set.ts";
import type { SymbolicState } from "./symbolic-state.ts";
import { ends, goesOn, type SymbolicResult } from "./symbolic-steps.ts";
import { isMapped } from "./translate-state.ts";

/** Why packets of a translated connection are lost where a rule keeps them from conntrack. */
export const LEFT_ALONE = "conntrack leaves it alone, so its addresses are not mapped back";

interface ZoneOf {
  readonly zone: number | "unknown";
  /** The packets that are looked for in the zone; others are in zone 0. */
  readonly direction: "both" | "original" | "reply";
}

/** What conntrack has not seen yet, once a rule said in which zone it is to be looked for. */
export function inZone(state: SymbolicState, { zone, direction }: ZoneOf): SymbolicState {
  return {
    ...state,
    conntrack: "template",
    replyZone: direction === "original" ? 0 : zone,
    originalZone: direction === "reply" ? 0 : zone,
  };
}

/** Conntrack sees the packets: answers, and errors about a known connection, in the zone in which they are looked for. */
export function track(state: SymbolicState): SymbolicResult {
  if (state.conntrack !== "unseen" && state.conntrack !== "template") return goesOn(state);
  const { awaitedIn } = state;
  if (awaitedIn === undefined) return goesOn({ ...state, conntrack: "tracked" });
  // An error about an answer is looked for as the first packet was.
  const zone = state.direction === "REPLY" ? state.replyZone : state.originalZone;
  if (awaitedIn === zone && awaitedIn !== "unknown") return goesOn({ ...state, conntrack: "tracked" });
  const placed = state.decisions?.placed;
  const rule = placed === undefined ? {} : { placed };
  if (awaitedIn === "unknown" || zone === "unknown")
    return ends(state, {
      kind: "undecided",
      because: "in which conntrack zone it is looked for is not known",
      ...rule,
    });
  if (isMapped(state)) {
    const awaited = awaitedIn === "none" ? "knows no such connection" : `awaits it in zone ${awaitedIn}`;
    const because = `conntrack looks for it in zone ${zone} and ${awaited}, so its addresses are not mapped back`;
    return ends(state, { kind: "dropped", because, ...rule });
  }
  return goesOn(asStranger(state));
}

const INVALID_STATE = singleSet(CONNECTION_STATES.indexOf("INVALID"));

/** An answer that conntrack does not know begins a connection of its own; an error about nothing is invalid. */
function asStranger(state: SymbolicState): SymbolicState {
  if (state.refusal?.icmp !== undefined)
    return { ...state, conntrack: "tracked", region: { ...state.region, state: INVALID_STATE } };
  return {
    ...state,
    conntrack: "tracked",
    direction: "ORIGINAL",
    entersSwapped: true,
    region: { ...state.region, state: NEW_STATE },
    natDone: [],
    connectionMark: { kept: 0, flipped: 0 },
  };
}
