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
 * Marks are not cut. Groups come one after the other, so that thousands need not be there at once.
 *
 * @param isSettled whether all states of packets to the same destinations need not be cut any further: their groups are left out
 */
export function* alikeGroups<Item extends HasState>(
  items: readonly Item[],
  isSettled?: (items: readonly Item[]) => boolean,
): Generator<Alike<Item>> {
  const whole = items.map((item) => ({ item, region: item.state.region }));
  if (isSettled === undefined) {
    yield* groupsFrom(whole, 0);
    return;
  }
  for (const { set, members } of cut(whole, "destination")) {
    const parts = members.map((one) => withSet(one, "destination", set));
    if (!isSettled(parts.map(withRegion))) yield* groupsFrom(parts, 1);
  }
}

/** An item, and the part of its packets that is looked at. */
interface Cut<Item> {
  readonly item: Item;
  readonly region: Region;
}

function* groupsFrom<Item extends HasState>(items: readonly Cut<Item>[], at: number): Generator<Alike<Item>> {
  const [first] = items;
  if (first === undefined) return;
  for (let place = at; place < FIELDS.length; place++) {
    const field = FIELDS[place];
    if (field === undefined || items.every(({ region }) => region[field] === first.region[field])) continue;
    for (const { set, members } of cut(items, field)) {
      const parts = members.map((one) => withSet(one, field, set));
      yield* groupsFrom(parts, place + 1);
    }
    return;
  }
  yield { region: first.region, items: items.map(withRegion) };
}

function withSet<Item>({ item, region }: Cut<Item>, field: RegionField, set: IndexSet): Cut<Item> {
  return { item, region: region[field] === set ? region : { ...region, [field]: set } };
}

function withRegion<Item extends HasState>({ item, region }: Cut<Item>): Item {
  return region === item.state.region ? item : { ...item, state: { ...item.state, region } };
}

interface Part<Item> {
  readonly set: IndexSet;
  readonly members: readonly Cut<Item>[];
}

/** The parts of a field's values between which the same items are possible. Most items of a service have one value of it. */
function cut<Item extends HasState>(items: readonly Cut<Item>[], field: RegionField): readonly Part<Item>[] {
  const singles = new Map<number, Cut<Item>[]>();
  const wide: Cut<Item>[] = [];
  for (const item of items) {
    const only = onlyMember(item.region[field]);
    if (only === undefined) {
      wide.push(item);
      continue;
    }
    const members = singles.get(only);
    if (members === undefined) singles.set(only, [item]);
    else members.push(item);
  }
  const parts = [...singles].map(([value, members]) => ({
    set: members[0]?.region[field] ?? singleSet(value),
    members: [...members, ...wide.filter(({ region }) => hasMember(region[field], value))],
  }));
  return [...parts, ...cutWide(wide, field, unite([...singles.keys()].map(singleSet)))];
}

function cutWide<Item extends HasState>(
  items: readonly Cut<Item>[],
  field: RegionField,
  done: IndexSet,
): readonly Part<Item>[] {
  const parts: Part<Item>[] = [];
  let rest = subtract(unite(items.map(({ region }) => region[field])), done);
  while (rest.length > 0) {
    // What goes with the first value of the rest: in all sets that have it, in none that has it not.
    const value = firstMember(rest) ?? 0;
    let set: IndexSet = rest;
    const members: Cut<Item>[] = [];
    for (const item of items) {
      const own = item.region[field];
      const isMember = hasMember(own, value);
      set = isMember ? intersect(set, own) : subtract(set, own);
      if (isMember) members.push(item);
    }
    parts.push({ set, members });
    rest = set.length === 0 ? NOTHING : subtract(rest, set);
  }
  return parts;
}
