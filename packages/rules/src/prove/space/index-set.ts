/**
 * A set of whole numbers as flat half-open ranges: `[0, 5, 9, 10]` is 0–4 and 9. Sorted, none empty, none touching the next.
 * Values: never changed once made, so that equal sets are often the same array.
 */
export type IndexSet = readonly number[];

export const NOTHING: IndexSet = [];

/** `from` up to and without `end`. */
export function rangeSet(from: number, end: number): IndexSet {
  return from < end ? [from, end] : NOTHING;
}

export function singleSet(index: number): IndexSet {
  return [index, index + 1];
}

export function isEmpty(set: IndexSet): boolean {
  return set.length === 0;
}

/** The only member; undefined where there are none or several. */
export function onlyMember(set: IndexSet): number | undefined {
  const [from, end] = set;
  return set.length === 2 && from !== undefined && end === from + 1 ? from : undefined;
}

export function firstMember(set: IndexSet): number | undefined {
  return set[0];
}

export function hasMember(set: IndexSet, index: number): boolean {
  const at = rangeEndingAfter(set, index);
  const from = set[at];
  return from !== undefined && from <= index;
}

/** Place of the first range that ends behind `index`; the set's length where none does. */
function rangeEndingAfter(set: IndexSet, index: number): number {
  let low = 0;
  let high = set.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((set[2 * middle + 1] ?? 0) <= index) low = middle + 1;
    else high = middle;
  }
  return 2 * low;
}

/** Members of both; `a` itself where `b` holds all of it. */
export function intersect(a: IndexSet, b: IndexSet): IndexSet {
  if (a === b || a.length === 0) return a;
  if (b.length === 0) return b;
  const [from = 0, end = 0] = b;
  if (b.length === 2) {
    if (from <= (a[0] ?? 0) && (a.at(-1) ?? 0) <= end) return a;
    if (a.length > 2) return clip(a, from, end);
  } else if (a.length === 2) {
    const cut = clip(b, a[0] ?? 0, a[1] ?? 0);
    return cut.length === 2 && cut[0] === a[0] && cut[1] === a[1] ? a : cut;
  }
  const result: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const low = Math.max(a[i] ?? 0, b[j] ?? 0);
    const aEnd = a[i + 1] ?? 0;
    const bEnd = b[j + 1] ?? 0;
    const high = Math.min(aEnd, bEnd);
    if (low < high) result.push(low, high);
    if (aEnd <= bEnd) i += 2;
    if (bEnd <= aEnd) j += 2;
  }
  return sameAs(a, result) ? a : result;
}

function clip(set: IndexSet, from: number, end: number): IndexSet {
  const result: number[] = [];
  for (let at = rangeEndingAfter(set, from); at < set.length && (set[at] ?? 0) < end; at += 2)
    result.push(Math.max(from, set[at] ?? 0), Math.min(end, set[at + 1] ?? 0));
  return result;
}

function sameAs(a: IndexSet, b: IndexSet): boolean {
  return a.length === b.length && a.every((bound, at) => bound === b[at]);
}

/** Members of `a` that `b` lacks. */
export function subtract(a: IndexSet, b: IndexSet): IndexSet {
  if (a.length === 0 || b.length === 0) return a;
  const result: number[] = [];
  let j = rangeEndingAfter(b, a[0] ?? 0);
  for (let i = 0; i < a.length; i += 2) {
    let from = a[i] ?? 0;
    const end = a[i + 1] ?? 0;
    while (j < b.length && (b[j + 1] ?? 0) <= from) j += 2;
    for (let k = j; k < b.length && (b[k] ?? 0) < end; k += 2) {
      if ((b[k] ?? 0) > from) result.push(from, b[k] ?? 0);
      from = Math.max(from, b[k + 1] ?? 0);
    }
    if (from < end) result.push(from, end);
  }
  return result.length === a.length && sameAs(a, result) ? a : result;
}

/** Members of any. */
export function unite(sets: Iterable<IndexSet>): IndexSet {
  const ranges: [number, number][] = [];
  for (const set of sets) {
    for (let at = 0; at < set.length; at += 2) ranges.push([set[at] ?? 0, set[at + 1] ?? 0]);
  }
  ranges.sort(([a], [b]) => a - b);
  const result: number[] = [];
  for (const [from, end] of ranges) {
    const last = result.length - 1;
    if (last > 0 && from <= (result[last] ?? 0)) result[last] = Math.max(result[last] ?? 0, end);
    else result.push(from, end);
  }
  return result;
}

export function isSubset(a: IndexSet, b: IndexSet): boolean {
  return intersect(a, b) === a;
}
