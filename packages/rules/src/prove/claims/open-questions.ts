import type { Assumption, SymbolicState } from "../walk/symbolic-state.ts";
import type { IsOwnList } from "./own-lists.ts";

/** The latest assumption that is not about affinity: what nobody can answer. */
export function openQuestion(assumptions: Assumption | undefined, isOwnList: IsOwnList): Assumption | undefined {
  for (let one = assumptions; one !== undefined; one = one.earlier) if (!isAffinity(one, isOwnList)) return one;
  return undefined;
}

function isAffinity({ question }: Assumption, isOwnList: IsOwnList): boolean {
  return question.recent !== undefined && isOwnList(question.recent.list);
}

/** With more open questions than these, the worlds are too many to look at each. */
const MAX_QUESTIONS = 8;

/**
 * The states by the answers that may be given to what nobody can answer: each set of answers is a world of its own, and a
 * state that was not asked is in all of them.
 *
 * @returns undefined where there are too many
 */
export function worldsOf(
  states: readonly SymbolicState[],
  isOwnList: IsOwnList,
): readonly (readonly SymbolicState[])[] | undefined {
  const answers = states.map((state) => answersOf(state, isOwnList));
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

function answersOf({ assumptions }: SymbolicState, isOwnList: IsOwnList): ReadonlyMap<string, boolean> {
  const answers = new Map<string, boolean>();
  for (let one = assumptions; one !== undefined; one = one.earlier)
    if (!isAffinity(one, isOwnList)) answers.set(one.question.key, one.holds);
  return answers;
}
