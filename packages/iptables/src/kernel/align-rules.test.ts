import fc from "fast-check";
import { expect, test } from "vitest";
import { alignKeys } from "./align-rules.ts";

test.for([
  {
    name: "equal sequences line up whole",
    a: "abc",
    b: "abc",
    pairs: [
      [0, 0],
      [1, 1],
      [2, 2],
    ],
  },
  {
    name: "what is missing leaves a gap",
    a: "ac",
    b: "abc",
    pairs: [
      [0, 0],
      [1, 2],
    ],
  },
  {
    name: "what was moved is left out",
    a: "bcda",
    b: "abcd",
    pairs: [
      [0, 1],
      [1, 2],
      [2, 3],
    ],
  },
  {
    name: "a second copy lines up with a second copy",
    a: "aab",
    b: "aba",
    pairs: [
      [0, 0],
      [2, 1],
    ],
  },
  { name: "nothing in common", a: "xy", b: "abc", pairs: [] },
])("$name", ({ a, b, pairs }) => {
  expect(alignKeys([...a], [...b])).toEqual(pairs);
});

test("without repeated keys no other way lines up more", () => {
  const permutation = fc.shuffledSubarray([..."abcdefg"]);
  fc.assert(
    fc.property(permutation, permutation, (a, b) => {
      const alignment = alignKeys(a, b);
      for (const [place, other] of alignment) expect(a[place]).toBe(b[other]);
      for (const [index, [place, other]] of alignment.entries()) {
        const next = alignment[index + 1];
        if (next !== undefined) expect(place < next[0] && other < next[1]).toBe(true);
      }
      expect(alignment.length).toBe(longestCommon(a, b));
    }),
    { numRuns: 300 },
  );
});

function longestCommon([first, ...a]: readonly string[], b: readonly string[]): number {
  if (first === undefined) return 0;
  const at = b.indexOf(first);
  return Math.max(longestCommon(a, b), at < 0 ? 0 : 1 + longestCommon(a, b.slice(at + 1)));
}
