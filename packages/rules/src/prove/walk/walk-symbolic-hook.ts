import type { CompiledNftBase } from "../../nft/prove/compiled-nft.ts";
import { walkNftBase } from "../../nft/prove/walk-nft-base.ts";
import type { Hook } from "../../rule-set.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import type { CompiledBase, SymbolicStage } from "../compile/compile-stages.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import { intersect, singleSet, subtract, unite } from "../space/index-set.ts";
import { inEitherOrder } from "./in-either-order.ts";
import { routeOutput } from "./route-state.ts";
import type { MarkNow, SymbolicState } from "./symbolic-state.ts";
import { ends, goesOn, next, type SymbolicResult } from "./symbolic-steps.ts";
import { track } from "./track-state.ts";
import { walkSymbolicTable } from "./walk-table.ts";

/** All chains of a hook in the kernel's order, conntrack and NAT in their places. */
export function walkHook(context: ProofContext, state: SymbolicState, hook: Hook): SymbolicResult {
  return walkStages(context, state, { stages: context.stages[hook], hook });
}

interface Staged {
  readonly stages: readonly SymbolicStage[];
  readonly hook: Hook;
  /** Whether a state need not be asked further. */
  readonly isOver?: (state: SymbolicState) => boolean;
}

function walkStages(context: ProofContext, state: SymbolicState, { stages, ...at }: Staged): SymbolicResult {
  let result = goesOn(state);
  for (const stage of stages)
    result = next(result, (one) =>
      at.isOver?.(one) === true ? goesOn(one) : walkStage(context, one, { stage, ...at }),
    );
  return result;
}

type AtStage = Omit<Staged, "stages"> & { readonly stage: SymbolicStage };

function walkStage(context: ProofContext, state: SymbolicState, { stage, ...at }: AtStage): SymbolicResult {
  switch (stage.kind) {
    case "conntrack":
      return track(state);
    case "chain":
      return walkBase(context, state, { base: stage.base, hook: at.hook });
    case "nat":
      return walkNat(context, state, { stages: stage.stages, hook: at.hook });
    case "orders":
      return inEitherOrder(state, { ...stage, walk: (one, stages) => walkStages(context, one, { stages, ...at }) });
    case "unread":
      return ends(state, { kind: "undecided", because: stage.because, isUnread: true });
  }
}

function walkBase(
  context: ProofContext,
  state: SymbolicState,
  { base, hook }: { base: CompiledBase | CompiledNftBase; hook: Hook },
): SymbolicResult {
  const result =
    base.program === "iptables"
      ? walkSymbolicTable(context, state, { base, hook })
      : walkNftBase(context, state, { base, hook });
  return hook === "OUTPUT" && base.reroutes ? rerouted(context, state, result) : result;
}

/**
 * Mangle's OUTPUT, and a chain of type route, asks for a new route after a change of the mark, of an address, of the type of
 * service (IPv4) or of the hop limit (IPv6).
 */
function rerouted(context: ProofContext, before: SymbolicState, result: SymbolicResult): SymbolicResult {
  const isSame = ({ mark, tos, ttl, source, destination }: SymbolicState) =>
    source === before.source &&
    destination === before.destination &&
    (context.policy.length === 0 ||
      (sameBits(mark, before.mark) && (context.space.family === 4 ? sameBits(tos, before.tos) : ttl === before.ttl)));
  return next(result, (one) => (isSame(one) ? goesOn(one) : routeOutput(context, one, { isFirst: false })));
}

function sameBits(a: MarkNow, b: MarkNow): boolean {
  return a.kept === b.kept && a.flipped === b.flipped;
}

/** Connection states whose packets the nat table sees. */
const FIRST_STATES = unite((["NEW", "RELATED"] as const).map((state) => singleSet(CONNECTION_STATES.indexOf(state))));

/** Each end of a connection is decided once, by its first packet; an answer is mapped back. */
function walkNat(context: ProofContext, state: SymbolicState, { stages, hook }: Staged): SymbolicResult {
  const end = hook === "PREROUTING" || hook === "OUTPUT" ? "destination" : "source";
  if (state.follows !== undefined) return goesOn({ ...state, [end]: state.follows[end] });
  if (state.direction === "REPLY") return goesOn(mapBack(state, end));
  if (state.natDone.includes(end) || state.conntrack !== "tracked") return goesOn(state);
  const first = intersect(state.region.state, FIRST_STATES);
  if (first.length === 0) return goesOn(state);
  const done = [...state.natDone, end] as const;
  if (first === state.region.state) return natChains(context, { ...state, natDone: done }, { stages, hook });
  const others = { ...state, region: { ...state.region, state: subtract(state.region.state, first) } };
  const asked = { ...state, natDone: done, region: { ...state.region, state: first } };
  const result = natChains(context, asked, { stages, hook });
  return { going: [others, ...result.going], ended: result.ended };
}

/** Chains of type nat are asked one after the other until one of them sets a translation up. */
function natChains(context: ProofContext, state: SymbolicState, { stages, hook }: Staged): SymbolicResult {
  const { destination, destinationNat, sourceNat } = state;
  const isOver = (one: SymbolicState) => one.destinationNat !== destinationNat || one.sourceNat !== sourceNat;
  const asked = walkStages(context, { ...state, isInNat: true }, { stages, hook, isOver });
  const result = {
    going: asked.going.map((one) => ({ ...one, isInNat: false })),
    ended: asked.ended,
  };
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
