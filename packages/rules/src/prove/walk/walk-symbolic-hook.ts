import type { Hook } from "../../rule-set.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { NEW_STATE } from "../compile/condition.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import { intersect, singleSet, subtract, unite } from "../space/index-set.ts";
import { routeOutput } from "./route-state.ts";
import type { MarkNow, SymbolicState } from "./symbolic-state.ts";
import { ends, goesOn, next, type SymbolicResult } from "./symbolic-steps.ts";
import { isTranslated } from "./translate-state.ts";
import { walkSymbolicTable } from "./walk-table.ts";

const TABLES: Readonly<Record<Hook, readonly string[]>> = {
  PREROUTING: ["raw", "mangle", "nat"],
  INPUT: ["mangle", "filter", "security", "nat"],
  FORWARD: ["mangle", "filter", "security"],
  OUTPUT: ["raw", "mangle", "nat", "filter", "security"],
  POSTROUTING: ["mangle", "nat"],
};

/** The tables of a hook in the order of their priorities. */
export function walkHook(context: ProofContext, state: SymbolicState, hook: Hook): SymbolicResult {
  let result = goesOn(state);
  for (const table of TABLES[hook]) {
    if (table === "mangle") result = next(result, track);
    if (table !== "nat" && !context.filters) continue;
    result = next(result, (one) =>
      table === "nat"
        ? walkNat(context, one, hook)
        : rerouted(context, one, { result: walkSymbolicTable(context, one, { table, hook }), table, hook }),
    );
  }
  return result;
}

/** Mangle's OUTPUT asks for a new route after a change of the mark, of the type of service (IPv4) or of the hop limit (IPv6). */
function rerouted(
  context: ProofContext,
  before: SymbolicState,
  { result, table, hook }: { result: SymbolicResult; table: string; hook: Hook },
): SymbolicResult {
  if (table !== "mangle" || hook !== "OUTPUT" || context.policy.length === 0) return result;
  const isSame = ({ mark, tos, ttl }: SymbolicState) =>
    sameBits(mark, before.mark) && (context.space.family === 4 ? sameBits(tos, before.tos) : ttl === before.ttl);
  return next(result, (one) => (isSame(one) ? goesOn(one) : routeOutput(context, one, { isFirst: false })));
}

function sameBits(a: MarkNow, b: MarkNow): boolean {
  return a.kept === b.kept && a.flipped === b.flipped;
}

function track(state: SymbolicState): SymbolicResult {
  if (state.conntrack !== "unseen") return goesOn(state);
  const { awaitedIn, replyZone } = state;
  if (state.direction === "ORIGINAL" || awaitedIn === undefined || (awaitedIn === replyZone && awaitedIn !== "unknown"))
    return goesOn({ ...state, conntrack: "tracked" });
  const placed = state.decisions?.placed;
  const rule = placed === undefined ? {} : { placed };
  if (awaitedIn === "unknown" || replyZone === "unknown")
    return ends(state, {
      kind: "undecided",
      because: "in which conntrack zone it is looked for is not known",
      ...rule,
    });
  if (isTranslated(state)) {
    const because = `conntrack looks for the answer in zone ${replyZone} and awaits it in zone ${awaitedIn}, so its addresses are not mapped back`;
    return ends(state, { kind: "dropped", because, ...rule });
  }
  return goesOn(asStranger(state));
}

/** An answer that conntrack does not know begins a connection of its own. */
function asStranger(state: SymbolicState): SymbolicState {
  return {
    ...state,
    conntrack: "tracked",
    direction: "ORIGINAL",
    isStranger: true,
    region: { ...state.region, state: NEW_STATE },
    natDone: [],
    connectionMark: { kept: 0, flipped: 0 },
  };
}

/** Connection states whose packets the nat table sees. */
const FIRST_STATES = unite((["NEW", "RELATED"] as const).map((state) => singleSet(CONNECTION_STATES.indexOf(state))));

/** Each end of a connection is decided once, by its first packet; an answer is mapped back. */
function walkNat(context: ProofContext, state: SymbolicState, hook: Hook): SymbolicResult {
  const end = hook === "PREROUTING" || hook === "OUTPUT" ? "destination" : "source";
  if (state.follows !== undefined) return goesOn({ ...state, [end]: state.follows[end] });
  if (state.direction === "REPLY") return goesOn(mapBack(state, end));
  if (state.natDone.includes(end) || state.conntrack === "untracked") return goesOn(state);
  const first = intersect(state.region.state, FIRST_STATES);
  if (first.length === 0) return goesOn(state);
  const done = [...state.natDone, end] as const;
  if (first === state.region.state) return natTable(context, { ...state, natDone: done }, hook);
  const others = { ...state, region: { ...state.region, state: subtract(state.region.state, first) } };
  const result = natTable(context, { ...state, natDone: done, region: { ...state.region, state: first } }, hook);
  return { going: [others, ...result.going], ended: result.ended };
}

function natTable(context: ProofContext, state: SymbolicState, hook: Hook): SymbolicResult {
  const { destination } = state;
  const result = walkSymbolicTable(context, state, { table: "nat", hook });
  if (hook !== "OUTPUT") return result;
  // A new destination is a new route; the rest of OUTPUT still sees the first one's interface.
  return next(result, (one) =>
    one.destination === destination ? goesOn(one) : routeOutput(context, one, { isFirst: false }),
  );
}

function mapBack(state: SymbolicState, end: "source" | "destination"): SymbolicState {
  // The host's own ICMP is from whom the client dialled only where that was translated.
  if (end === "source" && state.refusal?.icmp !== undefined && state.destinationNat === undefined) return state;
  return end === "destination"
    ? { ...state, destination: "source", destinationPort: "sourcePort" }
    : { ...state, source: "destination", sourcePort: "destinationPort" };
}
