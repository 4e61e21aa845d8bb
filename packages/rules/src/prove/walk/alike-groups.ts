import type { IndexSet } from "../space/index-set.ts";
import {
  firstMember,
  hasMember,
  intersect,
  NOTHING,
  onlyMember,
  singleSet,
  subtract,
  unite,
} from "../space/index-set.ts";
import type { Region, RegionField } from "../space/region.ts";
import type { SymbolicState } from "./symbolic-state.ts";

/** What tells frontends apart comes first: each of a thousand NodePorts has sources of its own, and no source asks for them all. */
const FIELDS: readonly RegionField[] = ["destination", "destinationPort", "protocol", "source", "sourcePort", "state"];

interface HasState {
  readonly state: SymbolicState;
}

/** States that hold the same packets, whatever was drawn or assumed. */
export interface Alike<Item> {
  readonly region: Region;
  readonly items: readonly Item[];
}

/**
 * Cuts states that overlap by chance into groups: within one, every packet has every one of the group's states before it.
 * Marks are not cut.
 */
export function alikeGroups<Item extends HasState>(items: readonly Item[], at = 0): readonly Alike<Item>[] {
  const [first] = items;
  if (first === undefined) return [];
  for (let place = at; place < FIELDS.length; place++) {
    const field = FIELDS[place];
    if (field === undefined || items.every(({ state }) => state.region[field] === first.state.region[field])) continue;
    const groups: Alike<Item>[] = [];
    for (const { set, members } of cut(items, field)) {
      const parts = members.map((item) => withSet(item, field, set));
      for (const group of alikeGroups(parts, place + 1)) groups.push(group);
    }
    return groups;
  }
  return [{ region: first.state.region, items }];
}

function withSet<Item extends HasState>(item: Item, field: RegionField, set: IndexSet): Item {
  return { ...item, state: { ...item.state, region: { ...item.state.region, [field]: set } } };
}

interface Part<Item> {
  readonly set: IndexSet;
  readonly members: readonly Item[];
}

/** The parts of a field's values between which the same items are possible. Most items of a service have one value of it. */
function cut<Item extends HasState>(items: readonly Item[], field: RegionField): readonly Part<Item>[] {
  const singles = new Map<number, Item[]>();
  const wide: Item[] = [];
  for (const item of items) {
    const only = onlyMember(item.state.region[field]);
    if (only === undefined) {
      wide.push(item);
      continue;
    }
    const members = singles.get(only);
    if (members === undefined) singles.set(only, [item]);
    else members.push(item);
  }
  const parts = [...singles].map(([value, members]) => ({
    set: singleSet(value),
    members: [...members, ...wide.filter(({ state }) => hasMember(state.region[field], value))],
  }));
  return [...parts, ...cutWide(wide, field, unite([...singles.keys()].map(singleSet)))];
}

function cutWide<Item extends HasState>(items: readonly Item[], field: RegionField, done: IndexSet): Part<Item>[] {
  const parts: Part<Item>[] = [];
  let rest = subtract(unite(items.map(({ state }) => state.region[field])), done);
  while (rest.length > 0) {
    // What goes with the first value of the rest: in all sets that have it, in none that has it not.
    const value = firstMember(rest) ?? 0;
    let set: IndexSet = rest;
    const members: Item[] = [];
    for (const item of items) {
      const own = item.state.region[field];
      const isMember = hasMember(own, value);
      set = isMember ? intersect(set, own) : subtract(set, own);
      if (isMember) members.push(item);
    }
    parts.push({ set, members });
    rest = set.length === 0 ? NOTHING : subtract(rest, set);
  }
  return parts;
}
