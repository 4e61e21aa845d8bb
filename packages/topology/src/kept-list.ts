const NONE: readonly never[] = [];

/**
 * A list that is kept for as long as a service stays, among thousands of its kind: a copy without the room for more that a list has which grew by
 * itself (16 places, for a first member); all empty ones are one.
 */
export function keptList<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : list.slice();
}
