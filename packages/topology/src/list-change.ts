/** A part of a list that was told before, or what is new: as JSON a list that hardly changed is short. */
export type ListPart<T> =
  /** So many from that place on, as they were. */
  { readonly kept: readonly [place: number, count: number] } | { readonly put: readonly T[] };

export interface ListComparison<T> {
  /** Tells items of a list apart. */
  readonly keyOf: (item: T) => string;
  /** Default: the same object, or the same as JSON. */
  readonly isSame?: (a: T, b: T) => boolean;
}

/** What makes `after` of `before`, whatever was added, changed, moved or removed; none for two empty lists. */
export function listChange<T>(
  before: readonly T[],
  after: readonly T[],
  { keyOf, isSame = isSameAsJson }: ListComparison<T>,
): readonly ListPart<T>[] {
  let places: ReadonlyMap<string, number> | undefined;
  const placeOf = (item: T, likely: number) => {
    const there = before[likely];
    if (there === item) return likely;
    // Most lists hold the same things in the same order: then there is nothing to look up.
    places ??= new Map(before.map((old, place) => [keyOf(old), place]));
    const place = places.get(keyOf(item));
    const old = place === undefined ? undefined : before[place];
    return old !== undefined && isSame(old, item) ? place : undefined;
  };
  const parts: ({ kept: [number, number] } | { put: T[] })[] = [];
  let next = 0;
  for (const item of after) {
    const place = placeOf(item, next);
    next = (place ?? next) + 1;
    const last = parts.at(-1);
    if (place === undefined) {
      if (last !== undefined && "put" in last) last.put.push(item);
      else parts.push({ put: [item] });
    } else if (last !== undefined && "kept" in last && last.kept[0] + last.kept[1] === place) last.kept[1]++;
    else parts.push({ kept: [place, 1] });
  }
  return parts;
}

/** @throws RangeError for parts of another list than `before` */
export function applyListChange<T>(before: readonly T[], parts: readonly ListPart<T>[]): readonly T[] {
  return parts.flatMap((part) => {
    if ("put" in part) return part.put;
    const [place, count] = part.kept;
    if (place < 0 || place + count > before.length) throw new RangeError("these are parts of another list");
    return before.slice(place, place + count);
  });
}

function isSameAsJson(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
