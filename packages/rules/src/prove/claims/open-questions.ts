import type { Assumption, SymbolicState } from "../walk/symbolic-state.ts";

/** The latest assumption that is not about affinity: what nobody can answer. */
export function openQuestion(assumptions: Assumption | undefined): Assumption | undefined {
  for (let one = assumptions; one !== undefined; one = one.earlier) if (one.question.recent === undefined) return one;
  return undefined;
}

/** With more open questions than these, the worlds are too many to look at each. */
const MAX_QUESTIONS = 8;

/**
 * The states by the answers that may be given to what nobody can answer: each set of answers is a world of its own, and a
 * state that was not asked is in all of them.
 *
 * @returns undefined where there are too many
 */
export function worldsOf(states: readonly SymbolicState[]): readonly (readonly SymbolicState[])[] | undefined {
  const answers = states.map(answersOf);
  const keys = [...new Set(answers.flatMap((given) => [...given.keys()]))];
  if (keys.length === 0) return [states];
  if (keys.length > MAX_QUESTIONS) return undefined;
  return Array.from({ length: 2 ** keys.length }, (_, world) =>
    states.filter((_state, place) =>
      keys.every((key, bit) => (answers[place]?.get(key) ?? isSet(world, bit)) === isSet(world, bit)),
    ),
  ).filter((members) => members.length > 0);
}

function isSet(world: number, bit: number): boolean {
  return ((world >> bit) & 1) === 1;
}

function answersOf({ assumptions }: SymbolicState): ReadonlyMap<string, boolean> {
  const answers = new Map<string, boolean>();
  for (let one = assumptions; one !== undefined; one = one.earlier)
    if (one.question.recent === undefined) answers.set(one.question.key, one.holds);
  return answers;
}
