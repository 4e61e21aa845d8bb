import type { EndedState, SymbolicEnding, SymbolicState } from "./symbolic-state.ts";
import type { SymbolicResult } from "./walk-table.ts";

export type Stage = (state: SymbolicState) => SymbolicResult;

export function through(states: readonly SymbolicState[], stage: Stage): SymbolicResult {
  if (states.length === 1 && states[0] !== undefined) return stage(states[0]);
  const going: SymbolicState[] = [];
  const ended: EndedState[] = [];
  for (const state of states) {
    const result = stage(state);
    for (const one of result.going) going.push(one);
    for (const one of result.ended) ended.push(one);
  }
  return { going, ended };
}

export function next({ going, ended }: SymbolicResult, stage: Stage): SymbolicResult {
  const result = through(going, stage);
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
