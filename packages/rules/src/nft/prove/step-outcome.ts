import type { PlacedRule } from "../../hooks/any-rule.ts";
import type { ProofContext } from "../../prove/compile/proof-context.ts";
import type { EndedState, SymbolicEnding, SymbolicState } from "../../prove/walk/symbolic-state.ts";
import type { Hook } from "../../rule-set.ts";
import type { NftVerdict } from "../nft-rule-set.ts";

/** What became of some packets at a step. */
export type StepOutcome =
  /** The rule goes on. */
  | { readonly kind: "next"; readonly state: SymbolicState }
  /** The rule is over, and the next one is asked. */
  | { readonly kind: "break"; readonly state: SymbolicState }
  | { readonly kind: "verdict"; readonly state: SymbolicState; readonly verdict: NftVerdict }
  /** The base chain is left. */
  | { readonly kind: "accepted"; readonly state: SymbolicState }
  | { readonly kind: "ended"; readonly end: EndedState };

export interface AskedStep {
  readonly context: ProofContext;
  readonly placed: PlacedRule;
  readonly hook: Hook;
}

/** The state with a rule among those that decided, once. */
export function decidedBy(state: SymbolicState, placed: PlacedRule): SymbolicState {
  return state.decisions?.placed === placed ? state : { ...state, decisions: { placed, earlier: state.decisions } };
}

/** The end of some packets. */
export function ended(state: SymbolicState, ending: SymbolicEnding): StepOutcome {
  return { kind: "ended", end: { state, ending } };
}

/** Where nobody knows what comes next. */
export function undecidedAt({ placed }: AskedStep, state: SymbolicState, because: string): StepOutcome {
  return ended(decidedBy(state, placed), { kind: "undecided", because, placed });
}
