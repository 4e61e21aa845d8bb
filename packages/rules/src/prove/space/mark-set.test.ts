import fc from "fast-check";
import { expect, test } from "vitest";
import { ANY_MARK, anyMarkOf, cutMarks, hasMark, type MarkSet, marksWithin, marksWithout } from "./mark-set.ts";

/** Four bits are enough to try every mark. */
const MARKS = Array.from({ length: 16 }, (_, mark) => mark);

const anyCube = fc
  .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 15 }))
  .map(([care, value]) => ({ care, value: value & care }));

/** The upper bits fixed to 0, so that four are left. */
const small = marksWithin(ANY_MARK, { care: 0xfffffff0, value: 0 });

const anySet = fc
  .array(fc.tuple(fc.boolean(), anyCube), { maxLength: 6 })
  .map((cuts) =>
    cuts.reduce<MarkSet | undefined>(
      (set, [isWithin, cube]) => set && (isWithin ? marksWithin(set, cube) : marksWithout(set, cube)),
      small,
    ),
  );

function marksOf(set: MarkSet | undefined): readonly number[] {
  return set === undefined ? [] : MARKS.filter((mark) => hasMark(set, mark));
}

test("a set of marks is cut by a cube without loss, and is only undefined where it is empty", () => {
  fc.assert(
    fc.property(anySet, anyCube, (set, cube) => {
      fc.pre(set !== undefined);
      if (set === undefined) return;
      const inside = MARKS.filter((mark) => ((mark ^ cube.value) & cube.care) === 0);
      const all = marksOf(set);
      expect(all.length).toBeGreaterThan(0);
      expect(marksOf(marksWithin(set, cube))).toEqual(all.filter((mark) => inside.includes(mark)));
      expect(marksOf(marksWithout(set, cube))).toEqual(all.filter((mark) => !inside.includes(mark)));
      expect(all).toContain(anyMarkOf(set));
    }),
  );
});

test("a set of marks is cut by another into disjoint parts", () => {
  fc.assert(
    fc.property(anySet, anySet, (set, by) => {
      if (set === undefined || by === undefined) return;
      const { inside, outside } = cutMarks(set, by);
      expect(marksOf(inside)).toEqual(marksOf(set).filter((mark) => hasMark(by, mark)));
      const others = outside.flatMap(marksOf).sort((a, b) => a - b);
      expect(others).toEqual(marksOf(set).filter((mark) => !hasMark(by, mark)));
    }),
  );
});

test("a bit that a single hole leaves no choice is known", () => {
  expect(marksWithout(ANY_MARK, { care: 0x4000, value: 0 })).toEqual({
    within: { care: 0x4000, value: 0x4000 },
    without: [],
  });
});
