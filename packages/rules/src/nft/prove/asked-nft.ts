import type { PlacedRule } from "../../hooks/any-rule.ts";
import type { Condition } from "../../prove/compile/condition.ts";
import type { ProofContext } from "../../prove/compile/proof-context.ts";
import { askRule, type RuleAnswer } from "../../prove/walk/ask-rule.ts";
import type { Question, SymbolicState } from "../../prove/walk/symbolic-state.ts";

/** Where a state is asked: in which proof, by which rule. */
export interface AskedNft {
  readonly context: ProofContext;
  readonly placed: PlacedRule;
}

export function askConditions(
  { context, placed }: AskedNft,
  state: SymbolicState,
  conditions: readonly Condition[],
): RuleAnswer {
  return askRule(state, { placed, conditions }, context.host);
}

export function assume(state: SymbolicState, question: Question, holds: boolean): SymbolicState {
  return { ...state, assumptions: { question, holds, earlier: state.assumptions } };
}
