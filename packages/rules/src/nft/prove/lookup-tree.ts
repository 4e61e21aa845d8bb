import { type IpAddress, parseIpAddress } from "@svcproxy/topology";
import type { AddressSpace } from "../../prove/space/address-space.ts";
import { type IndexSet, NOTHING, unite } from "../../prove/space/index-set.ts";
import type { Datum, DatumPart, NftData, NftElement } from "../nft-rule-set.ts";

/** How a part of a key is told apart: as pieces of the address space, as numbers, or by name. */
export type Domain = "address" | "number" | "text";

/**
 * The elements of a set or map, sorted by the parts of their keys: one level a part. Values that lead to the same are one
 * group, so that a set of packets is divided into as few parts as there are things to do.
 */
export interface LookupNode {
  readonly domain: Domain;
  /** Sorted ranges `[from, end)` of numbers or pieces, three in a row: from, end, group. */
  readonly ranges: readonly number[];
  /** Every number or piece in `ranges`. */
  readonly all: IndexSet;
  readonly names: ReadonlyMap<string, number>;
  /** Names that end in `*`, without it. */
  readonly prefixes: readonly { readonly prefix: string; readonly group: number }[];
  readonly groups: readonly LookupGroup[];
  /** Whether a value could not be told, so that what is not found may still be there. */
  readonly isPartial: boolean;
}

export type LookupGroup =
  | { readonly kind: "node"; readonly node: LookupNode }
  | { readonly kind: "leaf"; readonly data: NftData | undefined };

export interface LookupTree {
  /** Undefined where there is no element at all. */
  readonly root: LookupNode | undefined;
  /** What holds for every key that is not among the others. */
  readonly catchAll: { readonly data: NftData | undefined } | undefined;
}

export function buildLookupTree(elements: readonly NftElement[], { domains, order, space }: LookupOrder): LookupTree {
  const catchAll = elements.find(({ key }) => key.length === 0);
  const isAsIs = order.every((place, at) => place === at);
  const keyed = elements
    .filter(({ key }) => key.length > 0)
    .map((element) => (isAsIs ? element : { ...element, key: sorted(element.key, order) }));
  return {
    root: keyed.length === 0 ? undefined : buildNode(keyed, { domains: sorted(domains, order), space, depth: 0 }),
    catchAll: catchAll === undefined ? undefined : { data: catchAll.data },
  };
}

interface LookupOrder {
  /** Of the parts of a key. */
  readonly domains: readonly Domain[];
  /** By which part the elements are sorted first, and so on. */
  readonly order: readonly number[];
  readonly space: AddressSpace;
}

function sorted<Item>(items: readonly Item[], order: readonly number[]): readonly Item[] {
  return order.flatMap((place) => items[place] ?? []);
}

interface Building {
  readonly domains: readonly Domain[];
  readonly space: AddressSpace;
  readonly depth: number;
}

interface Spread {
  readonly from: number;
  readonly end: number;
  readonly element: NftElement;
}

function buildNode(elements: readonly NftElement[], building: Building): LookupNode {
  const { domains, depth } = building;
  const domain = domains[depth] ?? "number";
  const spreads: Spread[] = [];
  const named = new Map<string, NftElement[]>();
  let isPartial = false;
  for (const element of elements) {
    const part = element.key[depth];
    if (part === undefined) {
      isPartial = true;
    } else if (domain === "text") {
      if (typeof part === "string") push(named, part, element);
      else isPartial = true;
    } else {
      const ranges = rangesOf(part, domain, building.space);
      if (ranges === undefined) isPartial = true;
      else
        for (let at = 0; at < ranges.length; at += 2)
          spreads.push({ from: ranges[at] ?? 0, end: ranges[at + 1] ?? 0, element });
    }
  }
  const groups = new GroupList(building, depth + 1 >= domains.length);
  const ranges = groupRanges(spreads, groups);
  const names = new Map<string, number>();
  const prefixes: { prefix: string; group: number }[] = [];
  for (const [name, own] of named) {
    const group = groups.of(own);
    if (name.endsWith("*")) prefixes.push({ prefix: name.slice(0, -1), group });
    else names.set(name, group);
  }
  const all = unite(
    Array.from({ length: ranges.length / 3 }, (_, at) => [ranges[3 * at] ?? 0, ranges[3 * at + 1] ?? 0]),
  );
  return { domain, ranges, all, names, prefixes, groups: groups.groups, isPartial: isPartial || groups.isPartial };
}

function push<Key>(map: Map<Key, NftElement[]>, key: Key, element: NftElement): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [element]);
  else list.push(element);
}

function rangesOf(part: DatumPart, domain: Domain, space: AddressSpace): IndexSet | undefined {
  const { from, to } = typeof part === "object" ? part : { from: part, to: part };
  if (domain === "number") return typeof from === "number" && typeof to === "number" ? [from, to + 1] : undefined;
  const [first, last] = [addressOf(from, space), addressOf(to, space)];
  if (first === undefined || last === undefined) return undefined;
  return first === last ? [space.indexOf(first), space.indexOf(first) + 1] : space.setBetween(first, last);
}

function addressOf(datum: Datum, { family }: AddressSpace): IpAddress | undefined {
  const address = typeof datum === "string" ? parseIpAddress(datum) : undefined;
  return address !== undefined && address.includes(":") === (family === 6) ? address : undefined;
}

/** Ranges of elements that lead to the same have one group; where ranges overlap, each part has what all of them lead to. */
function groupRanges(spreads: readonly Spread[], groups: GroupList): readonly number[] {
  const byRange = new Map<string, { from: number; end: number; elements: NftElement[] }>();
  for (const { from, end, element } of spreads) {
    const key = `${from} ${end}`;
    const known = byRange.get(key);
    if (known === undefined) byRange.set(key, { from, end, elements: [element] });
    else known.elements.push(element);
  }
  const sorted = [...byRange.values()].sort((a, b) => a.from - b.from || a.end - b.end);
  const isDisjoint = sorted.every(({ from }, at) => at === 0 || (sorted[at - 1]?.end ?? 0) <= from);
  const parts = isDisjoint ? sorted : atoms(sorted);
  const ranges: number[] = [];
  for (const { from, end, elements } of parts) ranges.push(from, end, groups.of(elements));
  return ranges;
}

interface Ranged {
  readonly from: number;
  readonly end: number;
  readonly elements: readonly NftElement[];
}

/** Cut wherever one begins or ends. */
function atoms(ranges: readonly Ranged[]): readonly Ranged[] {
  const cuts = [...new Set(ranges.flatMap(({ from, end }) => [from, end]))].sort((a, b) => a - b);
  return cuts.slice(0, -1).flatMap((from, at) => {
    const end = cuts[at + 1] ?? from;
    const covering = ranges.filter((range) => range.from <= from && end <= range.end);
    return covering.length === 0 ? [] : [{ from, end, elements: covering.flatMap(({ elements }) => elements) }];
  });
}

/** The things that values of one level lead to, each once. */
class GroupList {
  readonly groups: LookupGroup[] = [];
  isPartial = false;
  readonly #building: Building;
  readonly #isLast: boolean;
  readonly #leaves = new Map<string, number>();

  constructor(building: Building, isLast: boolean) {
    this.#building = building;
    this.#isLast = isLast;
  }

  of(elements: readonly NftElement[]): number {
    if (!this.#isLast) {
      const node = buildNode(elements, { ...this.#building, depth: this.#building.depth + 1 });
      if (node.isPartial) this.isPartial = true;
      return this.groups.push({ kind: "node", node }) - 1;
    }
    const [first, ...others] = elements;
    const key = datumKey(first?.data);
    // Which of two elements of a map the kernel finds where ranges overlap is not known.
    if (others.some(({ data }) => datumKey(data) !== key)) this.isPartial = true;
    const known = this.#leaves.get(key);
    if (known !== undefined) return known;
    const group = this.groups.push({ kind: "leaf", data: first?.data }) - 1;
    this.#leaves.set(key, group);
    return group;
  }
}

/** Equal for data that are the same. */
export function datumKey(data: NftData | undefined): string {
  if (data === undefined) return "";
  if (data.kind === "verdict")
    return "chain" in data.verdict ? `${data.verdict.kind} ${data.verdict.chain}` : data.verdict.kind;
  return data.parts.map((part) => (typeof part === "object" ? `${part.from}-${part.to}` : String(part))).join(" . ");
}

/** The group of one value; undefined where none has it. */
export function groupOf({ ranges }: LookupNode, value: number): number | undefined {
  let low = 0;
  let high = ranges.length / 3;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[3 * middle + 1] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  const from = ranges[3 * low];
  return from !== undefined && from <= value ? ranges[3 * low + 2] : undefined;
}

export function groupOfName({ names, prefixes }: LookupNode, name: string): number | undefined {
  return names.get(name) ?? prefixes.find(({ prefix }) => name.startsWith(prefix))?.group;
}

/** The members of `set` that each group has. */
export function groupSets({ ranges }: LookupNode, set: IndexSet): ReadonlyMap<number, IndexSet> {
  const parts = new Map<number, number[]>();
  let at = firstRangeAfter(ranges, set[0] ?? 0);
  for (let i = 0; i < set.length; i += 2) {
    const [from, end] = [set[i] ?? 0, set[i + 1] ?? 0];
    while (at < ranges.length && (ranges[at + 1] ?? 0) <= from) at += 3;
    for (let k = at; k < ranges.length && (ranges[k] ?? 0) < end; k += 3)
      append(parts, ranges[k + 2] ?? 0, Math.max(from, ranges[k] ?? 0), Math.min(end, ranges[k + 1] ?? 0));
  }
  return parts;
}

function firstRangeAfter(ranges: readonly number[], value: number): number {
  let low = 0;
  let high = ranges.length / 3;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[3 * middle + 1] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return 3 * low;
}

function append(parts: Map<number, number[]>, group: number, from: number, end: number): void {
  const own = parts.get(group);
  if (own === undefined) parts.set(group, [from, end]);
  else if (own.at(-1) === from) own[own.length - 1] = end;
  else own.push(from, end);
}

/** All that the only part of a set's keys may be; undefined where that cannot be told. */
export function onlyLevel({ root, catchAll }: LookupTree): IndexSet | undefined {
  if (catchAll !== undefined) return undefined;
  if (root === undefined) return NOTHING;
  return root.isPartial || root.domain === "text" ? undefined : root.all;
}
