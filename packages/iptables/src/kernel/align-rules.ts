/** Places of equal elements in two sequences: `[place in a, place in b]`, both ascending. */
export type Alignment = readonly (readonly [number, number])[];

/**
 * The longest way to line up equal keys of two sequences without crossing, in O(n log n).
 *
 * The i-th copy of a key is only ever lined up with the i-th copy on the other side; rules of a plan hardly repeat.
 */
export function alignKeys(a: readonly string[], b: readonly string[]): Alignment {
  const placesInB = new Map<string, number[]>();
  for (const [place, key] of b.entries()) {
    const places = placesInB.get(key);
    if (places === undefined) placesInB.set(key, [place]);
    else places.push(place);
  }
  const seen = new Map<string, number>();
  const pairs: (readonly [number, number])[] = [];
  for (const [place, key] of a.entries()) {
    const copy = seen.get(key) ?? 0;
    const other = placesInB.get(key)?.[copy];
    if (other === undefined) continue;
    seen.set(key, copy + 1);
    pairs.push([place, other]);
  }
  return longestIncreasing(pairs);
}

/** The longest run of pairs, in order, whose second numbers ascend (patience sorting). */
function longestIncreasing(pairs: Alignment): Alignment {
  const tails: number[] = [];
  const previous: (number | undefined)[] = [];
  const second = (index: number | undefined) => (index === undefined ? -1 : (pairs[index]?.[1] ?? -1));
  for (const [index, [, place]] of pairs.entries()) {
    let low = 0;
    let high = tails.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (second(tails[middle]) < place) low = middle + 1;
      else high = middle;
    }
    previous[index] = tails[low - 1];
    tails[low] = index;
  }
  const run: (readonly [number, number])[] = [];
  for (let index = tails.at(-1); index !== undefined; index = previous[index]) {
    const pair = pairs[index];
    if (pair !== undefined) run.push(pair);
  }
  return run.reverse();
}
