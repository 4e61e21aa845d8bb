/** Marks whose bits `care` are as in `value`. */
export interface MarkCube {
  readonly care: number;
  readonly value: number;
}

/** Marks in `within` and in none of `without`: a set difference that is not multiplied out. */
export interface MarkSet {
  readonly within: MarkCube;
  readonly without: readonly MarkCube[];
}

export const ANY_MARK: MarkSet = { within: { care: 0, value: 0 }, without: [] };

/** Undefined where they have nothing in common. */
function meet(a: MarkCube, b: MarkCube): MarkCube | undefined {
  if (((a.value ^ b.value) & a.care & b.care) !== 0) return undefined;
  return { care: (a.care | b.care) >>> 0, value: (a.value | b.value) >>> 0 };
}

/** The part of the set in the cube; undefined where there is none. */
export function marksWithin(set: MarkSet, cube: MarkCube): MarkSet | undefined {
  if ((cube.care & ~set.within.care) === 0 && ((cube.value ^ set.within.value) & cube.care) === 0) return set;
  const within = meet(set.within, cube);
  if (within === undefined) return undefined;
  return plainest({ within, without: set.without });
}

/** The part of the set outside of the cube; undefined where there is none. */
export function marksWithout(set: MarkSet, cube: MarkCube): MarkSet | undefined {
  if (meet(set.within, cube) === undefined) return set;
  return plainest({ within: set.within, without: [...set.without, cube] });
}

/**
 * The same marks with as many known bits as single holes tell: where one bit is all that keeps a mark out of a hole, it is known.
 * Undefined where there are none.
 */
function plainest({ within, without }: MarkSet): MarkSet | undefined {
  let known = within;
  let holes = without;
  for (;;) {
    holes = holes.filter((hole) => meet(known, hole) !== undefined);
    const telling = holes.find((hole) => hasOneBit(hole.care & ~known.care));
    if (telling === undefined) break;
    const bit = (telling.care & ~known.care) >>> 0;
    known = { care: (known.care | bit) >>> 0, value: (known.value | (~telling.value & bit)) >>> 0 };
  }
  const result = { within: known, without: holes };
  return anyMarkOf(result) === undefined ? undefined : result;
}

function hasOneBit(bits: number): boolean {
  return bits !== 0 && (bits & (bits - 1)) === 0;
}

/** One of the marks, with few bits set; undefined where the set is empty. */
export function anyMarkOf({ within, without }: MarkSet): number | undefined {
  // The mark with all free bits clear: if it lies in a hole, every member leaves that hole by one of its free bits.
  const hole = without.find((cube) => inCube(cube, within.value));
  if (hole === undefined) return within.value;
  for (let bit = 0; bit < 32; bit++) {
    const one = (1 << bit) >>> 0;
    if ((hole.care & one) === 0 || (within.care & one) !== 0) continue;
    const flipped = { care: (within.care | one) >>> 0, value: (within.value | (~hole.value & one)) >>> 0 };
    const found = anyMarkOf({ within: flipped, without });
    if (found !== undefined) return found;
  }
  return undefined;
}

export function hasMark({ within, without }: MarkSet, mark: number): boolean {
  return inCube(within, mark) && !without.some((hole) => inCube(hole, mark));
}

function inCube({ care, value }: MarkCube, mark: number): boolean {
  return ((mark ^ value) & care) === 0;
}

/** The set cut by another: the part inside of it, and the parts outside. */
export function cutMarks(set: MarkSet, by: MarkSet): { inside: MarkSet | undefined; outside: readonly MarkSet[] } {
  const within = marksWithin(set, by.within);
  let inside = within;
  const outside: MarkSet[] = [];
  const without = marksWithout(set, by.within);
  if (without !== undefined) outside.push(without);
  for (const hole of by.without) {
    if (inside === undefined) break;
    const inHole = marksWithin(inside, hole);
    if (inHole !== undefined) outside.push(inHole);
    inside = marksWithout(inside, hole);
  }
  return { inside, outside };
}

/** Whether they are written alike; sets that are not may still have the same marks. */
export function isSameText(a: MarkSet, b: MarkSet): boolean {
  if (a.within.care !== b.within.care || a.within.value !== b.within.value) return false;
  return a.without.length === b.without.length && (a.without.length === 0 || markKey(a) === markKey(b));
}

const KEYS = new WeakMap<MarkSet, string>();

/** Equal for sets that are written alike. */
export function markKey(set: MarkSet): string {
  const { within, without } = set;
  if (without.length === 0) return `${within.care} ${within.value}`;
  let key = KEYS.get(set);
  if (key === undefined) {
    key = [within, ...without].map(({ care, value }) => `${care} ${value}`).join(", ");
    KEYS.set(set, key);
  }
  return key;
}
