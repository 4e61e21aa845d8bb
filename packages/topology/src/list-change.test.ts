import fc from "fast-check";
import { expect, test } from "vitest";
import { applyListChange, listChange } from "./list-change.ts";

interface Item {
  readonly name: string;
  readonly value: number;
}

const COMPARISON = { keyOf: ({ name }: Item) => name };
const items = (...names: readonly string[]): readonly Item[] => names.map((name) => ({ name, value: 1 }));

const anyList = fc.uniqueArray(
  fc.record({ name: fc.stringMatching(/^[a-z]$/), value: fc.integer({ min: 0, max: 2 }) }),
  { selector: ({ name }) => name },
);

test("what is told of any two lists makes the one of the other, through JSON too", () => {
  fc.assert(
    fc.property(anyList, anyList, (before, after) => {
      const parts = JSON.parse(JSON.stringify(listChange(before, after, COMPARISON)));
      expect(applyListChange(before, parts)).toEqual(after);
    }),
  );
});

test.for([
  { name: "nothing", after: items("a", "b", "c", "d"), parts: [{ kept: [0, 4] }] },
  {
    name: "one that is otherwise",
    after: [...items("a", "b"), { name: "c", value: 2 }, ...items("d")],
    parts: [{ kept: [0, 2] }, { put: [{ name: "c", value: 2 }] }, { kept: [3, 1] }],
  },
  { name: "one that is gone", after: items("a", "c", "d"), parts: [{ kept: [0, 1] }, { kept: [2, 2] }] },
  {
    name: "one that is new",
    after: items("a", "x", "b", "c", "d"),
    parts: [{ kept: [0, 1] }, { put: items("x") }, { kept: [1, 3] }],
  },
  { name: "two that changed places", after: items("c", "d", "a", "b"), parts: [{ kept: [2, 2] }, { kept: [0, 2] }] },
  { name: "that all are gone", after: [], parts: [] },
])("$name is told in so many parts", ({ after, parts }) => {
  expect(listChange(items("a", "b", "c", "d"), after, COMPARISON)).toEqual(parts);
});

test("items that are kept are the very ones of before", () => {
  const before = items("a", "b");
  const after = applyListChange(before, listChange(before, items("b"), COMPARISON));
  expect(after[0]).toBe(before[1]);
});

test("parts of a longer list are refused", () => {
  expect(() => applyListChange(items("a"), [{ kept: [0, 2] }])).toThrow(RangeError);
});
