import type { HostRules } from "../../hooks/host-rules.ts";
import { intersect } from "../space/index-set.ts";
import type { Region } from "../space/region.ts";
import type { Assumption, EndedState, Remembered, SymbolicState } from "../walk/symbolic-state.ts";

/** Whether rules remember any clients: on `recent` lists, or in sets and maps of nftables. */
export function keepsLists({ iptables, nft }: HostRules): boolean {
  return (
    iptables.some(({ rules }) =>
      rules.tables.some(({ chains }) =>
        chains.some((chain) => chain.rules.some(({ matches }) => matches.some(({ kind }) => kind === "recent"))),
      ),
    ) || nft.tables.some(({ sets }) => [...sets.values()].some(({ isDynamic }) => isDynamic))
  );
}

/**
 * Calls lists of clients alike that two rule sets keep under different names: those of which each is the only one of its rule set to
 * which packets are written that are written to the other, on their way to the same end. Nothing is taken for granted by that: packets
 * that are written on one of the two alone are treated differently.
 */
export class SharedLists {
  readonly #uses = { a: new Map<string, Use[]>(), b: new Map<string, Use[]>() };
  #names: Readonly<Record<"a" | "b", ReadonlyMap<string, string>>> | undefined;

  /** Every end of both rule sets is to be learnt from before the first is renamed. */
  learn(side: "a" | "b", ends: readonly EndedState[]): void {
    addUses(this.#uses[side], ends);
  }

  rename<End extends EndedState>(side: "a" | "b", ends: readonly End[]): readonly End[] {
    this.#names ??= namesOf(this.#uses);
    const names = this.#names[side];
    return names.size === 0 ? ends : ends.map((end) => renamed(end, names));
  }
}

function namesOf({ a, b }: { readonly a: Uses; readonly b: Uses }) {
  const names = { a: new Map<string, string>(), b: new Map<string, string>() };
  if ([...a.keys()].every((list) => b.has(list)) && [...b.keys()].every((list) => a.has(list))) return names;
  const [ofA, ofB] = [partnersOf(a, b), partnersOf(b, a)];
  for (const [list, other] of ofA) {
    if (ofB.get(other) !== list) continue;
    const name = list === other ? list : `${list} or ${other}`;
    names.a.set(list, name);
    names.b.set(other, name);
  }
  return names;
}

type Uses = ReadonlyMap<string, readonly Use[]>;

/** Packets that are written on a list, and where they go. */
interface Use {
  readonly to: string;
  readonly region: Region;
}

function addUses(lists: Map<string, Use[]>, ends: readonly EndedState[]): void {
  for (const { state, ending } of ends) {
    const use: Use = { to: `${ending.kind} ${state.destination} ${state.destinationPort}`, region: state.region };
    for (const list of listsOf(state)) {
      const uses = lists.get(list);
      if (uses === undefined) lists.set(list, [use]);
      else uses.push(use);
    }
  }
}

/** For each list the only one of the others that has a use in common with it. */
function partnersOf(lists: Uses, others: Uses): ReadonlyMap<string, string> {
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
