import fc from "fast-check";
import { expect, test } from "vitest";
import { hasMember, intersect, isSubset, onlyMember, subtract, unite } from "./index-set.ts";

const LIMIT = 24;

/** A set in both representations. */
const anySet = fc
  .uniqueArray(fc.integer({ min: 0, max: LIMIT - 1 }), { maxLength: LIMIT })
  .map((members) => ({ members: new Set(members), set: unite(members.map((member) => [member, member + 1])) }));

function membersOf(set: readonly number[]): Set<number> {
  return new Set(Array.from({ length: LIMIT }, (_, index) => index).filter((index) => hasMember(set, index)));
}

test("set operations on ranges are those on members, in the shortest form", () => {
  fc.assert(
    fc.property(anySet, anySet, (a, b) => {
      expect(membersOf(a.set)).toEqual(a.members);
      const results = [intersect(a.set, b.set), subtract(a.set, b.set), unite([a.set, b.set])];
      expect(results.map(membersOf)).toEqual([
        new Set([...a.members].filter((member) => b.members.has(member))),
        new Set([...a.members].filter((member) => !b.members.has(member))),
        new Set([...a.members, ...b.members]),
      ]);
      for (const result of results) {
        const rising = result.every((bound, at) => at === 0 || (result[at - 1] ?? 0) < bound);
        expect(rising).toBe(true);
      }
      const isWithin = [...a.members].every((member) => b.members.has(member));
      expect(isSubset(a.set, b.set)).toBe(isWithin);
      expect(onlyMember(a.set)).toBe(a.members.size === 1 ? [...a.members][0] : undefined);
      if (isWithin) expect(intersect(a.set, b.set)).toBe(a.set);
    }),
  );
});
