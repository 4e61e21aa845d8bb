import type { EndedState, SymbolicEnding, SymbolicState } from "./symbolic-state.ts";

/** What became of the states that entered a step. */
export interface SymbolicResult {
  readonly going: SymbolicState[];
  readonly ended: EndedState[];
}

export type SymbolicStep = (state: SymbolicState) => SymbolicResult;

export function through(states: readonly SymbolicState[], step: SymbolicStep): SymbolicResult {
  if (states.length === 1 && states[0] !== undefined) return step(states[0]);
  const going: SymbolicState[] = [];
  const ended: EndedState[] = [];
  for (const state of states) {
    const result = step(state);
    for (const one of result.going) going.push(one);
    for (const one of result.ended) ended.push(one);
  }
  return { going, ended };
}

export function next({ going, ended }: SymbolicResult, step: SymbolicStep): SymbolicResult {
  const result = through(going, step);
  if (ended.length === 0) return result;
  return { going: result.going, ended: [...ended, ...result.ended] };
}

export function goesOn(state: SymbolicState): SymbolicResult {
  return { going: [state], ended: [] };
}

export function ends(state: SymbolicState, ending: SymbolicEnding): SymbolicResult {
  return { going: [], ended: [{ state, ending }] };
}

export function join(results: readonly SymbolicResult[]): SymbolicResult {
  if (results.length === 1 && results[0] !== undefined) return results[0];
  return { going: results.flatMap(({ going }) => going), ended: results.flatMap(({ ended }) => ended) };
}
