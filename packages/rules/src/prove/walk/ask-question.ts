import type { Subject } from "../../effects/effect.ts";
import type { PlacedRule } from "../../hooks/any-rule.ts";
import type { Match } from "../../match.ts";
import type { OpenQuestion } from "../compile/condition.ts";
import type { IndexSet } from "../space/index-set.ts";
import type { MarkCube } from "../space/mark-set.ts";
import type { RegionField } from "../space/region.ts";
import type { Question, SymbolicState } from "./symbolic-state.ts";

/** What is left to split once the fixed conditions are answered. */
export type Split =
  | { readonly kind: "field"; readonly field: RegionField; readonly inside: IndexSet }
  | { readonly kind: "mark"; readonly cube: MarkCube; readonly negated: boolean }
  | { readonly kind: "chance"; readonly chance: number }
  | {
      readonly kind: "question";
      readonly question: Question;
      readonly negated: boolean;
      readonly changesMark: boolean;
      readonly deed?: string;
    }
  | { readonly kind: "deed"; readonly text: string }
  | { readonly kind: "remember"; readonly list: string; readonly side: "source" | "destination" };

export type Answer = "yes" | "no" | Split;

export function decided(holds: boolean): Answer {
  return holds ? "yes" : "no";
}

/** What a `recent` list says of the packet, as far as this walk has written it. */
export function askRecent(state: SymbolicState, match: Extract<Match, { kind: "recent" }>, placed: PlacedRule): Answer {
  const { name: list, side, seconds, hitCount, negated, rttl = false } = match;
  if (match.action === "set") return { kind: "remember", list, side };
  const isPlain = (hitCount ?? 1) <= 1 && !rttl;
  for (let note = state.remembered; note !== undefined; note = note.earlier)
    if (note.list === list && note.side === side && isPlain && sameSubject(state, side)) return decided(!negated);
  const recent = { list, side, seconds, hitCount, rttl };
  const conditions = [
    seconds === undefined ? "" : ` --seconds ${seconds}`,
    isPlain ? "" : ` --hitcount ${hitCount ?? 1}`,
  ];
  const text = `-m recent --rcheck${conditions.join("")}${rttl ? " --rttl" : ""} --name ${list} --r${side === "source" ? "source" : "dest"}`;
  const key = `${text} ${String(state[side])}`;
  const known = answered(state, key);
  if (known !== undefined) return decided(known !== negated);
  // What is found is refreshed, or taken off its list.
  const deed = match.action === "rcheck" ? {} : { deed: `recent --${match.action} --name ${list}` };
  return { kind: "question", question: { placed, key, text, recent }, negated, changesMark: false, ...deed };
}

/** Whether the packet still has the address that it came with. */
function sameSubject(state: SymbolicState, side: "source" | "destination"): boolean {
  return state[side] === side;
}

export const CONNECTION_MARK: OpenQuestion = {
  text: "-m connmark",
  reads: ["connectionMark", "connection"],
  isVolatile: true,
};

function answered({ assumptions }: SymbolicState, key: string): boolean | undefined {
  for (let one = assumptions; one !== undefined; one = one.earlier) if (one.question.key === key) return one.holds;
  return undefined;
}

/** The answer that was assumed before, or a question. What changes by being asked is asked anew each time. */
export function openAnswer(state: SymbolicState, placed: PlacedRule, open: OpenQuestion): Answer {
  const { text, reads, isVolatile, changesMark = false } = open;
  if (isVolatile) {
    const key = `${placed.table} ${placed.chain} ${placed.number} ${text}`;
    const times = timesAsked(state, key);
    const question = { placed, key: times === 0 ? key : `${key} #${times}`, text };
    return { kind: "question", question, negated: false, changesMark };
  }
  const key = `${text}${seenBy(reads, state)}`;
  const known = answered(state, key);
  if (known !== undefined) return decided(known);
  return { kind: "question", question: { placed, key, text }, negated: false, changesMark };
}

function timesAsked({ assumptions }: SymbolicState, key: string): number {
  let times = 0;
  for (let one = assumptions; one !== undefined; one = one.earlier)
    if (one.question.key === key || one.question.key.startsWith(`${key} #`)) times++;
  return times;
}

/** What a match that looks at these subjects sees of a state's packets, where something was done to it; else nothing. */
function seenBy(reads: readonly Subject[], state: SymbolicState): string {
  const { source, destination, sourcePort, destinationPort, mark, tos } = state;
  const device = state.inInterface?.kind === "named" ? state.inInterface.name : "";
  const seen: Readonly<Partial<Record<Subject, string>>> = {
    address: source === "source" && destination === "destination" ? "" : `${source} ${destination}`,
    port:
      sourcePort === "sourcePort" && destinationPort === "destinationPort" ? "" : `${sourcePort} ${destinationPort}`,
    interface: `${device} ${state.outInterface ?? ""}`.trim(),
    bridgePort: `${device} ${state.outInterface ?? ""}`.trim(),
    linkAddress: device,
    mark: mark.kept === ALL_BITS && mark.flipped === 0 ? "" : `${mark.kept}^${mark.flipped}`,
    tos: tos.kept === 0xff && tos.flipped === 0 ? "" : `${tos.kept}^${tos.flipped}`,
    ttl: state.ttl,
    connection: `${state.conntrack} ${state.direction}`,
  };
  return reads.map((subject) => seen[subject] ?? "").join("|");
}

const ALL_BITS = 0xffffffff;
