import { intersect } from "../space/index-set.ts";
import type { Region } from "../space/region.ts";
import type { Assumption, EndedState, Remembered, SymbolicState } from "../walk/symbolic-state.ts";

/**
 * Calls lists of clients alike that two rule sets keep under different names: those of which each is the only one of its rule set to
 * which packets are written that are written to the other, on their way to the same end. Nothing is taken for granted by that: packets
 * that are written on one of the two alone are treated differently.
 */
export function withSharedLists<End extends EndedState>(ends: {
  readonly a: readonly End[];
  readonly b: readonly End[];
}): { readonly a: readonly End[]; readonly b: readonly End[] } {
  const [a, b] = [usesOf(ends.a), usesOf(ends.b)];
  if ([...a.keys()].every((list) => b.has(list)) && [...b.keys()].every((list) => a.has(list))) return ends;
  const names = { a: new Map<string, string>(), b: new Map<string, string>() };
  const [ofA, ofB] = [partnersOf(a, b), partnersOf(b, a)];
  for (const [list, other] of ofA) {
    if (ofB.get(other) !== list) continue;
    const name = list === other ? list : `${list} or ${other}`;
    names.a.set(list, name);
    names.b.set(other, name);
  }
  return { a: ends.a.map((end) => renamed(end, names.a)), b: ends.b.map((end) => renamed(end, names.b)) };
}

/** Packets that are written on a list, and where they go. */
interface Use {
  readonly to: string;
  readonly region: Region;
}

function usesOf(ends: readonly EndedState[]): ReadonlyMap<string, readonly Use[]> {
  const lists = new Map<string, Use[]>();
  for (const { state, ending } of ends) {
    const use: Use = { to: `${ending.kind} ${state.destination} ${state.destinationPort}`, region: state.region };
    for (const list of listsOf(state)) {
      const uses = lists.get(list);
      if (uses === undefined) lists.set(list, [use]);
      else uses.push(use);
    }
  }
  return lists;
}

/** For each list the only one of the others that has a use in common with it. */
function partnersOf(
  lists: ReadonlyMap<string, readonly Use[]>,
  others: ReadonlyMap<string, readonly Use[]>,
): ReadonlyMap<string, string> {
  const byEnd = new Map<string, { readonly list: string; readonly region: Region }[]>();
  for (const [list, uses] of others)
    for (const { to, region } of uses) {
      const known = byEnd.get(to);
      if (known === undefined) byEnd.set(to, [{ list, region }]);
      else known.push({ list, region });
    }
  const partners = new Map<string, string>();
  for (const [list, uses] of lists) {
    const found = new Set(
      uses.flatMap(({ to, region }) =>
        (byEnd.get(to) ?? []).flatMap((other) => (overlaps(region, other.region) ? [other.list] : [])),
      ),
    );
    const [only] = found;
    if (only !== undefined && found.size === 1) partners.set(list, only);
  }
  return partners;
}

function overlaps(a: Region, b: Region): boolean {
  return (["destination", "destinationPort", "protocol", "source"] as const).every(
    (field) => intersect(a[field], b[field]).length > 0,
  );
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
