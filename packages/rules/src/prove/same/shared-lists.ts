import { type IndexSet, unite } from "../space/index-set.ts";
import type { Assumption, EndedState, Remembered, SymbolicState } from "../walk/symbolic-state.ts";

/**
 * Calls lists of clients alike that two rule sets keep under different names: those to which the same packets are written
 * on their way to the same end. A list that nothing tells from another of its own rule set keeps its name.
 */
export function withSharedLists<End extends EndedState>(ends: {
  readonly a: readonly End[];
  readonly b: readonly End[];
}): { readonly a: readonly End[]; readonly b: readonly End[] } {
  const [a, b] = [usesOf(ends.a), usesOf(ends.b)];
  if ([...a.keys()].every((list) => b.has(list)) && [...b.keys()].every((list) => a.has(list))) return ends;
  const [ofA, ofB] = [byUse(a), byUse(b)];
  const names = { a: new Map<string, string>(), b: new Map<string, string>() };
  for (const [use, list] of ofA) {
    const other = ofB.get(use);
    if (list === undefined || other === undefined) continue;
    const name = list === other ? list : `${list} or ${other}`;
    names.a.set(list, name);
    names.b.set(other, name);
  }
  return { a: ends.a.map((end) => renamed(end, names.a)), b: ends.b.map((end) => renamed(end, names.b)) };
}

interface Use {
  readonly destinations: IndexSet[];
  readonly ports: IndexSet[];
  readonly protocols: IndexSet[];
}

/** What is written on each list, as text. */
function usesOf(ends: readonly EndedState[]): ReadonlyMap<string, string> {
  const lists = new Map<string, Map<string, Use>>();
  for (const { state, ending } of ends) {
    const { region, destination, destinationPort } = state;
    for (const list of listsOf(state)) {
      const uses = lists.get(list) ?? new Map<string, Use>();
      lists.set(list, uses);
      const to = `${ending.kind} ${destination} ${destinationPort}`;
      const use = uses.get(to) ?? { destinations: [], ports: [], protocols: [] };
      uses.set(to, use);
      use.destinations.push(region.destination);
      use.ports.push(region.destinationPort);
      use.protocols.push(region.protocol);
    }
  }
  return new Map([...lists].map(([list, uses]) => [list, [...uses].map(useText).sort().join("\n")]));
}

function useText([to, { destinations, ports, protocols }]: readonly [string, Use]): string {
  return [to, unite(destinations), unite(ports), unite(protocols)].join(" | ");
}

/** Undefined for what several lists are used for. */
function byUse(uses: ReadonlyMap<string, string>): ReadonlyMap<string, string | undefined> {
  const found = new Map<string, string | undefined>();
  for (const [list, use] of uses) found.set(use, found.has(use) ? undefined : list);
  return found;
}

function listsOf({ remembered }: SymbolicState): ReadonlySet<string> {
  const lists = new Set<string>();
  for (let note = remembered; note !== undefined; note = note.earlier) lists.add(note.list);
  return lists;
}

function renamed<End extends EndedState>(end: End, names: ReadonlyMap<string, string>): End {
  const { state } = end;
  const assumptions: Assumption[] = [];
  for (let one = state.assumptions; one !== undefined; one = one.earlier) assumptions.push(one);
  const notes: Remembered[] = [];
  for (let note = state.remembered; note !== undefined; note = note.earlier) notes.push(note);
  if (notes.length === 0 && assumptions.every(({ question }) => question.recent === undefined)) return end;
  let remembered: Remembered | undefined;
  for (const note of notes.toReversed())
    remembered = { ...note, list: names.get(note.list) ?? note.list, earlier: remembered };
  let assumed: Assumption | undefined;
  for (const one of assumptions.toReversed())
    assumed = { ...one, question: alike(one.question, names), earlier: assumed };
  return { ...end, state: { ...state, remembered, assumptions: assumed } };
}

/** Equal keys for questions about one list. */
function alike(question: Assumption["question"], names: ReadonlyMap<string, string>): Assumption["question"] {
  const { recent } = question;
  const name = recent === undefined ? undefined : names.get(recent.list);
  if (recent === undefined || name === undefined) return question;
  const { side, seconds, hitCount, rttl } = recent;
  return { ...question, key: ["list", name, side, seconds ?? "ever", Math.max(1, hitCount ?? 1), rttl].join(" ") };
}
