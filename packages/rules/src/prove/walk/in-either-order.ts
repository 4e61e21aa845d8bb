import type { SymbolicOrder, SymbolicStage } from "../compile/compile-stages.ts";
import type { EndedState, Question, SymbolicState } from "./symbolic-state.ts";
import type { SymbolicResult } from "./symbolic-steps.ts";

/** Chains of one priority of which nobody knows which is asked first. */
export interface Orders {
  readonly orders: readonly SymbolicOrder[];
  readonly because: string;
  readonly walk: (state: SymbolicState, stages: readonly SymbolicStage[]) => SymbolicResult;
}

/** The ways of a state's packets in each order; one of them where it makes no difference. */
export function inEitherOrder(state: SymbolicState, { orders, because, walk }: Orders): SymbolicResult {
  const results = orders.map(({ stages }) => walk(state, stages));
  const [first, ...others] = results;
  if (first === undefined) return { going: [state], ended: [] };
  const key = keyOf(first);
  if (others.every((result) => keyOf(result) === key)) return first;
  const going: SymbolicState[] = [];
  const ended: EndedState[] = [];
  for (const [at, { stages }] of orders.entries()) {
    const assuming = withOrder(state, { at, orders, because });
    if (assuming === undefined) continue;
    const result = walk(assuming, stages);
    for (const one of result.going) going.push(one);
    for (const one of result.ended) ended.push(one);
  }
  return { going, ended };
}

/**
 * Of so many orders, the one at a place: none of those before it, and it, where it is not the last.
 *
 * @returns undefined where another was assumed before
 */
function withOrder(
  state: SymbolicState,
  { at, orders, because }: { at: number; orders: readonly SymbolicOrder[]; because: string },
): SymbolicState | undefined {
  let assuming = state;
  for (const [place, { text }] of orders.slice(0, -1).entries()) {
    if (place > at) break;
    const holds = place === at;
    const question: Question = {
      placed: { table: because, chain: "", number: 0, rule: { matches: [], target: { kind: "none" } } },
      key: `order ${place} ${because}`,
      text,
    };
    const known = answered(assuming, question.key);
    if (known !== undefined && known !== holds) return undefined;
    if (known === undefined)
      assuming = { ...assuming, assumptions: { question, holds, earlier: assuming.assumptions } };
  }
  return assuming;
}

function answered({ assumptions }: SymbolicState, key: string): boolean | undefined {
  for (let one = assumptions; one !== undefined; one = one.earlier) if (one.question.key === key) return one.holds;
  return undefined;
}

/** Equal for results that treat the packets alike. */
function keyOf({ going, ended }: SymbolicResult): string {
  return JSON.stringify([
    going.map(stateKey).sort(),
    ended
      .map(({ state, ending }) => `${ending.kind} ${"because" in ending ? ending.because : ""} ${stateKey(state)}`)
      .sort(),
  ]);
}

function stateKey({
  decisions: _,
  jumps: __,
  destinationNat,
  sourceNat,
  route,
  assumptions,
  ...state
}: SymbolicState): string {
  const answers: string[] = [];
  for (let one = assumptions; one !== undefined; one = one.earlier) answers.push(`${one.question.key} ${one.holds}`);
  const isTranslated = [destinationNat !== undefined, sourceNat !== undefined];
  return JSON.stringify([state, isTranslated, route?.interface, route?.gateway, answers], (_key, value: unknown) =>
    value instanceof Map ? [...value.keys()] : value,
  );
}
